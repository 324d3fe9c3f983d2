import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { isS3FileError } from '../../src/core/errors.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { uploadFormFromRequest } from '../../src/upload/upload-from-request.ts'
import { setUploadLimits, uploadSlots } from '../../src/upload/upload-slots.ts'
import { formBody, formType, sampleBytes } from '../support/multipart.ts'

const content = sampleBytes(300_000)
const body = new Uint8Array(
  formBody(
    { name: 'first', content: 'field' },
    { name: 'file', filename: 'a.bin', content },
    { name: 'last', content: 'field' },
  ),
)

type Handler = (request: IncomingMessage) => Promise<unknown>

/** What the middleware before the verb does with the request. */
let handler: Handler
let storage: MemoryStorage

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const outcome = await handler(request)
    response.writeHead(200).end(JSON.stringify(outcome))
  } catch (error) {
    if (!isS3FileError(error)) throw error
    response.writeHead(error.statusCode).end(JSON.stringify({ code: error.code, message: error.message }))
  }
}

const listeners = { 'plain http': answer, Express: express().post('/', answer) }

const framings: Record<string, () => BodyInit> = {
  'Content-Length': () => body,
  'chunked encoding': () => new Blob([body]).stream(),
}

/** Gives back the one place there is. */
let giveBack: () => void = () => undefined

async function takeOnlyPlace(): Promise<void> {
  setUploadLimits({ concurrent: 1 })
  await uploadSlots.take(new AbortController().signal)
  giveBack = () => {
    giveBack = () => undefined
    uploadSlots.release()
  }
}

beforeEach(() => {
  storage = new MemoryStorage()
  configureStorages({ default: storage })
})
afterEach(() => {
  configureStorages({})
  setUploadLimits({})
  giveBack()
})

describe.each(Object.entries(listeners))('a request of %s', (_framework, listener) => {
  const server = createServer(listener)
  let port: number
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  })
  afterAll(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })

  async function send(sent: BodyInit) {
    const init = { method: 'POST', headers: { 'content-type': formType }, body: sent, duplex: 'half' }
    const response = await fetch(`http://127.0.0.1:${port}/`, init as RequestInit)
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }

  describe.each(Object.entries(framings))('with %s', (_framing, bodyOf) => {
    it('whose bytes a middleware counts is stored whole, and counted whole', async () => {
      let counted = 0
      handler = (request) => {
        request.on('data', (chunk: Buffer) => {
          counted += chunk.length
        })
        return uploadFormFromRequest(request)
      }
      expect(await send(bodyOf())).toMatchObject({ status: 200 })
      expect([...storage.objects.values()][0]?.bytes.equals(content)).toBe(true)
      expect(counted).toBe(body.length)
    })

    it('that flows keeps its bytes while it waits in line for its turn', async () => {
      await takeOnlyPlace()
      handler = async (request) => {
        request.on('data', () => undefined)
        const uploading = uploadFormFromRequest(request)
        await sleep(50)
        giveBack()
        return uploading
      }
      expect(await send(bodyOf())).toMatchObject({ status: 200 })
      expect([...storage.objects.values()][0]?.bytes.equals(content)).toBe(true)
    })

    it('that was paused by hand before something asynchronous is stored whole', async () => {
      handler = async (request) => {
        request.pause()
        await sleep(20)
        return uploadFormFromRequest(request)
      }
      const answered = await send(bodyOf())
      expect(answered.status).toBe(200)
      expect(answered.body.fields).toEqual({ first: ['field'], last: ['field'] })
    })

    it('whose first bytes went to a listener before the verb ran is refused with the name of the culprit', async () => {
      handler = async (request) => {
        request.on('data', () => undefined)
        await sleep(20)
        return uploadFormFromRequest(request)
      }
      expect(await send(bodyOf())).toEqual({
        status: 500,
        body: { code: 'body-consumed', message: expect.stringContaining("by a 'data' listener") },
      })
      expect(storage.objects.size).toBe(0)
    })

    it('whose first bytes are read by somebody else while it waits is refused', async () => {
      handler = async (request) => {
        request.on('data', () => undefined)
        const uploading = uploadFormFromRequest(request)
        request.resume()
        return uploading
      }
      await takeOnlyPlace()
      const answered = send(bodyOf())
      await sleep(50)
      giveBack()
      expect(await answered).toMatchObject({ status: 500, body: { code: 'body-consumed' } })
      expect(storage.objects.size).toBe(0)
    })
  })
})

describe('a web Request', () => {
  const webRequest = () =>
    new Request('http://host/', { method: 'POST', headers: { 'content-type': formType }, body })

  it('of which some was read, and the lock given back, is refused', async () => {
    const request = webRequest()
    const reader = request.body?.getReader()
    await reader?.read()
    reader?.releaseLock()
    await expect(uploadFormFromRequest(request)).rejects.toMatchObject({ code: 'body-consumed' })
  })

  it('whose bytes a copy counts is stored whole', async () => {
    const request = webRequest()
    const counted = request.clone().arrayBuffer()
    const { files } = await uploadFormFromRequest(request)
    expect(files.file?.[0]?.size).toBe(content.length)
    expect((await counted).byteLength).toBe(body.length)
  })
})
