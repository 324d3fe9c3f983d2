import { fileURLToPath } from 'node:url'
import express, { type ErrorRequestHandler, type Express } from 'express'
import { type DataSource, EntityNotFoundError } from 'typeorm'
import { isS3FileError, uploadFromRequest, withUrls } from 'typeorm-s3-file'
import { Document } from './document.js'

const publicFolder = fileURLToPath(new URL('../public', import.meta.url))
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

export function createApp(dataSource: DataSource): Express {
  const documents = dataSource.getRepository(Document)
  const app = express()

  app.use(express.static(publicFolder))

  app.param('id', (_req, _res, next, id) => {
    next(uuid.test(id) ? undefined : new EntityNotFoundError(Document, { id }))
  })

  app.get('/documents', async (_req, res) => {
    res.json(await withUrls(await documents.find({ order: { createdAt: 'DESC' } })))
  })

  app.post('/documents', async (req, res) => {
    const document = documents.create()
    document.file = await uploadFromRequest(req, { into: [Document, 'file'], field: 'file' })
    await documents.save(document)
    res.status(201).json(await withUrls(document))
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

  app.use(answerError)
  return app
}

const answerError: ErrorRequestHandler = (error, _req, res, _next) => {
  if (error instanceof EntityNotFoundError) {
    res.status(404).json({ code: 'not-found', message: 'There is no such document.' })
    return
  }
  const status = isS3FileError(error) ? error.statusCode : 500
  if (isS3FileError(error) && status < 500) {
    res.status(status).json({ code: error.code, message: error.message })
    return
  }
  // What failed on this side is nothing to tell a client: such messages name buckets, keys and hosts.
  console.error(error)
  res.status(status).json({ code: 'internal', message: 'The server could not do this. Please try again.' })
}
