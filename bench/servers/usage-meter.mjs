import { readFileSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** What this process used since `reset`: CPU, the peak of its memory above what it had then, its longest stall. */
export function usageMeter() {
  const loop = monitorEventLoopDelay({ resolution: 1 })
  let cpu = process.cpuUsage()
  let idleBytes = process.memoryUsage.rss()
  return {
    reset() {
      // Linux then counts the peak from now on; elsewhere it is that of the whole life of the process.
      if (process.platform === 'linux') writeFileSync('/proc/self/clear_refs', '5')
      idleBytes = process.memoryUsage.rss()
      loop.reset()
      loop.enable()
      cpu = process.cpuUsage()
    },
    usage() {
      loop.disable()
      const { user, system } = process.cpuUsage(cpu)
      return {
        cpuSeconds: (user + system) / 1e6,
        peakBytes: peakBytes() - idleBytes,
        stallSeconds: loop.max / 1e9,
      }
    },
  }
}

function peakBytes() {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024
  return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) * 1024
}
