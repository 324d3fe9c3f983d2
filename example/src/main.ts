import { makeRoundTrip } from './round-trip.js'
import { watchParts } from './sent-parts.js'
import { startServer } from './server.js'
import { loadSettings } from './settings.js'

const { stopServers, ...settings } = await loadSettings()
const server = await startServer(settings).catch((error: NodeJS.ErrnoException) => {
  stopServers()
  if (error.code !== 'EADDRINUSE') throw error
  console.error(`Port ${settings.port} is in use. PORT=${settings.port + 1} npm run demo takes another one.`)
  process.exit(1)
})
await makeRoundTrip(server.address, server.dataSource, watchParts(server.client))

if (process.argv.includes('--once')) {
  await stop()
} else {
  console.log(`The page is at ${server.address}, until Ctrl-C.`)
  process.once('SIGINT', stop).once('SIGTERM', stop)
}

async function stop(): Promise<void> {
  await server.stop()
  stopServers()
}
