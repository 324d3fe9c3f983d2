// The application under test, in a process of its own: takes forms, and tells its parent what became of each.
import { Agent, createServer } from 'node:http'
import { configureStorages, isS3FileError, S3Storage, uploadFormFromRequest } from '../../dist/esm/index.js'
import { observe } from './observed.mjs'

const { endpoint, bucket, credentials, idleTimeoutSeconds } = JSON.parse(process.env.SITE_SETTINGS)
const agent = new Agent({ keepAlive: true })
const clientConfig = {
  endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials,
  requestHandler: { httpAgent: agent },
}
const partSizeBytes = 5 * 1024 * 1024
configureStorages({ default: new S3Storage({ bucket, clientConfig, partSizeBytes, keyPrefix: 'forms' }) })

const server = createServer(async (request, response) => {
  const id = Number(new URL(request.url, 'http://site').searchParams.get('case'))
  process.send({ begun: id })
  response.on('error', () => undefined)
  const outcome = await outcomeOf(request)
  process.send({ id, outcome })
  response.writeHead(outcome.statusCode).end()
})
observe(server, agent)

async function outcomeOf(request) {
  try {
    const { files, fields } = await uploadFormFromRequest(request, { limits: { idleTimeoutSeconds } })
    const told = ({ key, name, size }) => ({ key, name, size })
    return {
      statusCode: 200,
      files: Object.entries(files).map(([field, list]) => [field, list.map(told)]),
      fields: Object.entries(fields),
    }
  } catch (error) {
    if (!isS3FileError(error))
      return { statusCode: 500, flaw: `an error of no type: ${error?.stack ?? error}` }
    const { code, statusCode, message, context } = error
    if (`${message} ${JSON.stringify(context)}`.includes(credentials.secretAccessKey)) {
      return { statusCode, flaw: `the error ${code} tells a secret: ${message}` }
    }
    return { statusCode, code, message }
  }
}
