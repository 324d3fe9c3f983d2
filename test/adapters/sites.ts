import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import fastifyMultipart from '@fastify/multipart'
import { serve } from '@hono/node-server'
import express, { type ErrorRequestHandler } from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { isS3FileError } from '../../src/core/errors.ts'
import type { S3File } from '../../src/core/s3-file.ts'
import { s3FilePlugin } from '../../src/fastify.ts'
import { uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { nestSite } from './nest-site.ts'

/**
 * An application with two routes: `/` uploads a file of `maxSizeBytes` at most, and `/consumed` does so after something else
 * has read the body. Both answer with the file's JSON, or with the error's status and its code.
 */
export interface Site {
  port: number
  /** What uploads failed with, as the application sees it. */
  failures: unknown[]
  stop: () => Promise<unknown>
}

const require = createRequire(import.meta.url) // Express 4 has no types under its alias.

export const maxSizeBytes = 12_000_000

/** The sites by framework, and whom each has read the body of `/consumed` before. */
export const sites: Record<string, { start: () => Promise<Site>; culprit: string }> = {
  node: { start: nodeSite, culprit: 'a body parser' },
  'Express 5': { start: () => expressSite(express), culprit: 'express.raw()' },
  'Express 4': { start: () => expressSite(require('express4')), culprit: 'express.raw()' },
  Koa: { start: koaSite, culprit: 'a body parser' },
  Hono: { start: honoSite, culprit: 'a body parser' },
  'a web Request, as in Next': { start: webSite, culprit: 'a body parser' },
  Fastify: { start: fastifySite, culprit: 'request.body is set' },
  'Nest on Express': { start: () => nestSite('express', maxSizeBytes), culprit: 'a FileInterceptor' },
  'Nest on Fastify': { start: () => nestSite('fastify', maxSizeBytes), culprit: 'a body parser' },
}

/** What an application without an adapter answers. */
function answerTo(error: unknown) {
  if (!isS3FileError(error)) {
    return { status: 500, body: { code: 'other', message: String(error) }, headers: {} }
  }
  const { statusCode, code, headers } = error
  const message = statusCode < 500 ? error.message : 'try again later'
  return { status: statusCode, body: { code, message }, headers }
}

/** An upload whose failures are told to the test. */
function uploader() {
  const failures: unknown[] = []
  const upload = async (request: unknown): Promise<S3File> => {
    try {
      return await uploadFromRequest(request, { maxSizeBytes })
    } catch (error) {
      failures.push(error)
      throw error
    }
  }
  return { failures, upload }
}

async function listen(listener: RequestListener): Promise<Omit<Site, 'failures'>> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    stop: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(resolve))
    },
  }
}

async function nodeSite(): Promise<Site> {
  const { upload, failures } = uploader()
  const answer = async (request: IncomingMessage) => {
    try {
      if (request.url === '/consumed') for await (const _ of request);
      return { status: 200, body: await upload(request), headers: {} }
    } catch (error) {
      return answerTo(error)
    }
  }
  const site = await listen(async (request: IncomingMessage, response: ServerResponse) => {
    const { status, body, headers } = await answer(request)
    response.writeHead(status, { ...headers, 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  return { ...site, failures }
}

async function expressSite(framework: typeof express): Promise<Site> {
  const { upload, failures } = uploader()
  const app = framework()
  app.use(framework.json(), framework.urlencoded({ extended: false }))
  app.use('/consumed', framework.raw({ type: '*/*' }))
  // Express 4 does not wait for promises: `next` is told.
  app.post(['/', '/consumed'], (request, response, next) => {
    upload(request).then((file) => response.json(file), next)
  })
  const answerErrors: ErrorRequestHandler = (error, _request, response, _next) => {
    const { status, body, headers } = answerTo(error)
    response.status(status).set(headers).json(body)
  }
  app.use(answerErrors)
  return { ...(await listen(app)), failures }
}

async function koaSite(): Promise<Site> {
  const { upload, failures } = uploader()
  const app = new Koa()
  app.silent = true // It prints that the client has gone.
  app.use(async (context) => {
    try {
      if (context.path === '/consumed') for await (const _ of context.req);
      context.body = (await upload(context)).toJSON()
    } catch (error) {
      const { status, body, headers } = answerTo(error)
      Object.assign(context, { status, body })
      context.set(headers)
    }
  })
  return { ...(await listen(app.callback())), failures }
}

async function honoSite(): Promise<Site> {
  const { upload, failures } = uploader()
  const app = new Hono()
  app.post('/', async (context) => context.json(await upload(context)))
  app.post('/consumed', async (context) => {
    await context.req.parseBody()
    return context.json(await upload(context))
  })
  app.onError((error, context) => {
    const { status, body, headers } = answerTo(error)
    return context.json(body, status as never, headers)
  })
  return { ...(await serveWeb((request) => app.fetch(request))), failures }
}

async function webSite(): Promise<Site> {
  const { upload, failures } = uploader()
  async function POST(request: Request): Promise<Response> {
    try {
      if (new URL(request.url).pathname === '/consumed') await request.formData()
      return Response.json(await upload(request))
    } catch (error) {
      const { status, body, headers } = answerTo(error)
      return Response.json(body, { status, headers })
    }
  }
  return { ...(await serveWeb(POST)), failures }
}

/** Serves what takes a web `Request` on a socket, as Next does. */
async function serveWeb(
  handler: (request: Request) => Response | Promise<Response>,
): Promise<Omit<Site, 'failures'>> {
  return new Promise((resolve) => {
    const server = serve({ fetch: handler, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
      resolve({ port, stop: () => new Promise((stopped) => server.close(stopped)) }),
    )
  })
}

async function fastifySite(): Promise<Site> {
  const failures: unknown[] = []
  const app = fastify({ forceCloseConnections: true })
  app.addHook('onError', async (_request, _reply, error) => {
    failures.push(isS3FileError(error.cause) ? error.cause : error)
  })
  app.register(async (scope) => {
    await scope.register(s3FilePlugin)
    scope.post('/', (request) => request.s3File({ maxSizeBytes }))
  })
  app.register(async (scope) => {
    await scope.register(fastifyMultipart, { attachFieldsToBody: true })
    await scope.register(s3FilePlugin)
    scope.post('/consumed', (request) => request.s3File({ maxSizeBytes }))
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: (app.server.address() as AddressInfo).port, failures, stop: () => app.close() }
}
