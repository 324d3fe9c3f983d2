import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Bench } from './support/bench.mjs'
import { stopChildren } from './support/child.mjs'
const [bytes, seconds, atOnce, rounds, transport, ...names] = process.argv.slice(2)
const bench = new Bench({ mode:'full', rounds:1, hasHugeFile:false, hasPython:false })
import { execSync as Y } from 'node:child_process'
Y('taskset -acp 1 '+process.pid)
const { port, tlsPort, caFile } = await bench.nginx()
const load = await bench.load()
const url = transport==='tls'?`https://127.0.0.1:${tlsPort}`:`http://127.0.0.1:${port}`
const med=a=>[...a].sort((x,y)=>x-y)[a.length>>1]
import { execSync as X } from 'node:child_process'
X('taskset -acp 1 '+process.pid); 
const servers=[]
for(const label of names){
  const [name,root='/work/main']=label.split('@')
  const child = fork(root+'/bench/servers/main.mjs', [name, url], { cwd: root, env:{...process.env, NODE_EXTRA_CA_CERTS: caFile}, execArgv: ['--disable-warning=NodeVersionSupportWarning'], serialization:'advanced'})
  const asks = new Map(); let n=0
  const ready = new Promise(r=>asks.set(0,r))
  child.on('message', ({id,value,error})=>{ if(error) console.error(error); asks.get(id)?.(value)})
  const ask=(command,argument)=>new Promise(r=>{const id=++n; asks.set(id,r); child.send({id,command,argument})})
  const s = await ready; X('taskset -acp 0 '+child.pid)
  servers.push({label,child,ask,port:s.port,cpu:[],rate:[],stall:[],peak:[]})
}
const work=s=>({port:s.port,bytes:+bytes,atOnce:+atOnce,...(+seconds>0?{seconds:+seconds}:{count:-seconds})})
for(const s of servers) { await load.ask('post',work(s)); await load.ask('post',work(s)) }
for(let i=0;i<+rounds;i++) for(let j=0;j<servers.length;j++){ const s=servers[(i+j)%servers.length]
  await s.ask('reset'); const p=await load.ask('post',work(s)); const u=await s.ask('usage')
  s.cpu.push(u.cpuSeconds/p.count*1000); s.rate.push(p.bytes/1e6/p.seconds); s.stall.push(u.stallSeconds*1000); s.peak.push(u.peakBytes/1e6)
}
for(const s of servers) console.log(s.label.padEnd(36),'cpu ms/file',med(s.cpu).toFixed(3),'min',Math.min(...s.cpu).toFixed(3),'s/GB',(med(s.cpu)/1000/(bytes/1e9)).toFixed(3),'files/s',(med(s.rate)*1e6/bytes).toFixed(1),'MB/s',med(s.rate).toFixed(0),'stall',med(s.stall).toFixed(1),'peak',med(s.peak).toFixed(0),'paired vs last',med(s.cpu.map((c,i)=>c/servers.at(-1).cpu[i])).toFixed(3))
for(const s of servers){s.child.disconnect(); await once(s.child,'exit')}
await stopChildren()
