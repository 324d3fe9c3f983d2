import { partMemory } from '../../dist/esm/storage/part-memory.js'
import { uploadSlots } from '../../dist/esm/upload/upload-slots.js'

/**
 * Makes the server of a process seen by its parent: tells it the port, what the process complains of, and, when it is
 * asked, all that is held once nobody is being served.
 *
 * @param agent whose idle sockets to the store do not count
 */
export function observe(server, agent) {
  for (const event of ['unhandledRejection', 'uncaughtException', 'warning']) {
    process.on(event, (error) => {
      // The SDK's word on Node 20 is not ours.
      if (error?.name === 'NodeVersionSupportWarning') return
      process.send({ complaint: `${event}: ${error?.stack ?? error}` })
    })
  }
  process.on('disconnect', () => process.exit())
  process.on('message', async () => process.send(await look(server, agent)))
  server.requestTimeout = 0
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }))
}

async function look(server, agent) {
  for (const socket of Object.values(agent.freeSockets).flat()) socket.destroy()
  await new Promise((resolve) => setTimeout(resolve, 20))
  globalThis.gc()
  globalThis.gc()
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage()
  return {
    held: {
      connections: await new Promise((resolve) => server.getConnections((_, count) => resolve(count))),
      partBytes: partMemory.usedBytes,
      slots: uploadSlots.used + uploadSlots.waiting,
      resources: countsOf(process.getActiveResourcesInfo().sort()),
    },
    memory: { rss, used: heapUsed + arrayBuffers },
  }
}

function countsOf(names) {
  const counts = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}
