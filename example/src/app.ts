import { fileURLToPath } from 'node:url'
import express, { type ErrorRequestHandler, type Express } from 'express'
import { type DataSource, EntityNotFoundError } from 'typeorm'
import { isS3FileError, uploadFromRequest, withUrls } from 'typeorm-s3-file'
import { Document } from './document.js'
import type { JournalFeed, JournalLine } from './journal-feed.js'
import { Profile } from './profile.js'

const publicFolder = fileURLToPath(new URL('../public', import.meta.url))
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export function createApp(dataSource: DataSource, feed: JournalFeed): Express {
  const documents = dataSource.getRepository(Document)
  const profiles = dataSource.getRepository(Profile)
  const app = express()

  app.use(express.static(publicFolder))

  app.param('id', (_req, _res, next, id) => {
    next(uuid.test(id) ? undefined : new EntityNotFoundError(Document, { id }))
  })

  app.get('/documents', async (_req, res) => {
    res.json(await withUrls(await documents.find({ order: { createdAt: 'DESC' }, take: 100 })))
  })

  app.post('/documents', async (req, res) => {
    const document = documents.create()
    document.file = await uploadFromRequest(req, { into: [Document, 'file'], field: 'file' })
    await documents.save(document)
    res.status(201).json(await withUrls(document))
  })

  app.get('/documents/:id', async (req, res) => {
    res.json(await withUrls(await documents.findOneByOrFail({ id: req.params.id })))
  })

  app.post('/documents/:id/file', async (req, res) => {
    const document = await documents.findOneByOrFail({ id: req.params.id })
    document.file = await uploadFromRequest(req, { into: [Document, 'file'], field: 'file' })
    await documents.save(document) // The old object goes after COMMIT.
    res.json(await withUrls(document))
  })

  app.delete('/documents/:id', async (req, res) => {
    await documents.remove(await documents.findOneByOrFail({ id: req.params.id }))
    res.status(204).end()
  })

  const profile = async () =>
    (await profiles.findOneBy({ id: 1 })) ?? profiles.create({ id: 1, picture: null })

  app.get('/profile', async (_req, res) => {
    res.json(await withUrls(await profile()))
  })

  app.post('/profile/picture', async (req, res) => {
    const picture = await uploadFromRequest(req, { into: [Profile, 'picture'], field: 'file' })
    res.json(await withUrls(await profiles.save(Object.assign(await profile(), { picture }))))
  })

  app.delete('/profile/picture', async (_req, res) => {
    await profiles.save(Object.assign(await profile(), { picture: null }))
    res.status(204).end()
  })

  app.get('/journal', (req, res) => {
    req.socket.setTimeout(0) // Nothing may move here for hours.
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    const send = (lines: JournalLine[]) => res.write(`data: ${JSON.stringify(lines)}\n\n`)
    send(feed.lines)
    feed.on('change', send)
    res.on('close', () => feed.off('change', send))
  })

  app.use(answerError)
  return app
}

const answerError: ErrorRequestHandler = (error, _req, res, _next) => {
  if (error instanceof EntityNotFoundError) {
    res.status(404).json({ code: 'not-found', message: 'There is no such document.' })
    return
  }
  if (isS3FileError(error) && error.statusCode < 500) {
    const { maxSizeBytes, accept } = error.context
    res
      .status(error.statusCode)
      .set(error.headers)
      .json({ code: error.code, message: error.message, maxSizeBytes, accept })
    return
  }
  // What failed on this side is nothing to tell a client: such messages name buckets, keys and hosts.
  console.error(error)
  if (isS3FileError(error)) res.status(error.statusCode).set(error.headers).json({ code: error.code })
  else res.status(500).json({ code: 'internal' })
}
