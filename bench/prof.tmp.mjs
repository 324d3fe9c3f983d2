import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Bench } from './support/bench.mjs'
import { stopChildren } from './support/child.mjs'
const [name, bytes, seconds, atOnce, prof, transport='http'] = process.argv.slice(2)
const bench = new Bench({ mode:'full', rounds:1, hasHugeFile:false, hasPython:false })
import { execSync as Y } from 'node:child_process'
Y('taskset -acp 1 '+process.pid)
const { port, tlsPort, caFile } = await bench.nginx()
const load = await bench.load()
const url = transport==='tls'?`https://127.0.0.1:${tlsPort}`:`http://127.0.0.1:${port}`
const child = fork(new URL('./servers/main.mjs', import.meta.url).pathname, [name, url], { env:{...process.env, NODE_EXTRA_CA_CERTS: caFile}, execArgv: ['--disable-warning=NodeVersionSupportWarning', ...(prof==='1'?['--cpu-prof','--cpu-prof-dir=/tmp/perf/'+name,'--cpu-prof-interval=200']:[])], serialization:'advanced'})
const asks = new Map(); let n=0
const ready = new Promise(r=>asks.set(0,r))
child.on('message', ({id,value,error})=>{ if(error) console.error(error); asks.get(id)?.(value)})
const ask=(command,argument)=>new Promise(r=>{const id=++n; asks.set(id,r); child.send({id,command,argument})})
const s = await ready; Y('taskset -acp 0 '+child.pid)
const work={port:s.port,bytes:+bytes,atOnce:+atOnce,seconds:+seconds}
const w=await load.ask('post',{...work,seconds:+seconds/2})
for(let i=0;i<(prof==='1'?1:3);i++){
await ask('reset')
const posted = await load.ask('post',work)
globalThis.c=posted.count;const u = await ask('usage')
console.log(name, 'rate', (posted.count/posted.seconds).toFixed(0), 'cpu ms/file', (u.cpuSeconds/posted.count*1000).toFixed(3), 'cpu s/GB', (u.cpuSeconds/(posted.bytes/1e9)).toFixed(2), 'stall', (u.stallSeconds*1000).toFixed(1))
}
if(prof==='1')console.log('FILES',w.count+globalThis.c);child.disconnect(); await once(child,'exit')
await stopChildren()
