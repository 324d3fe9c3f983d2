// An S3 that takes everything and keeps nothing: nginx, a process of its own, over HTTP and TLS.
// It reads each body into memory before it answers, as S3 does, and lets go of it: the request goes on without its body
// to a second server inside of the same nginx, which has the fixed answers.
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { answer } from '../support/answer.mjs'
import { freePort } from '../support/free-port.mjs'

process.env.PATH += ':/usr/sbin' // where Debian has nginx
for (const program of ['nginx', 'openssl']) requireProgram(program)
let nginx
const folder = mkdtempSync(join(tmpdir(), 's3-sink-'))
process.on('SIGTERM', () => process.exit())
process.on('exit', () => {
  nginx?.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

const [port, tlsPort] = await Promise.all([freePort(), freePort()])
const log = join(folder, 'requests')
const caFile = join(folder, 'cert.pem')
makeCertificate()
writeFileSync(join(folder, 'nginx.conf'), config())
nginx = startNginx()
await untilListening()

answer({ reset: () => truncateSync(log), requests: countRequests }, { port, tlsPort, caFile })

/** How many there were since `reset`. */
function countRequests() {
  return readFileSync(log, 'utf8').split('\n').length - 1
}

function config() {
  return `
daemon off;
master_process off;
pid nginx.pid;
error_log error.log;
events { worker_connections 4096; }
http {
  log_format operation '$request_method $args';
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  client_max_body_size 0;
  client_body_buffer_size 64m;
  keepalive_requests 1000000000;
  keepalive_timeout 600s;
  upstream answers {
    server unix:${folder}/answers;
    keepalive 256;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    listen 127.0.0.1:${tlsPort} ssl;
    ssl_certificate cert.pem;
    ssl_certificate_key key.pem;
    access_log ${log} operation;
    location / {
      proxy_pass http://answers;
      proxy_http_version 1.1;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Connection "";
      proxy_set_header Expect "";
      proxy_set_header If-None-Match ""; # nothing is there
    }
  }
  server {
    listen unix:${folder}/answers;
    access_log off;
    keepalive_requests 1000000000;
    default_type application/xml;
    location / {
      add_header ETag '"00000000000000000000000000000000"';
      if ($request_method = DELETE) { return 204; }
      if ($request_method = HEAD) { return 404; }
      if ($args ~ "(^|&)uploads(=|&|$)") { return 200 '<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>'; }
      if ($request_method = POST) { return 200 '<CompleteMultipartUploadResult><Location>http://sink/object</Location><Key>object</Key><ETag>"00000000000000000000000000000000-1"</ETag></CompleteMultipartUploadResult>'; }
      return 200;
    }
  }
}
`
}

function requireProgram(name) {
  if (spawnSync(name, ['--help'], { stdio: 'ignore' }).error === undefined) return
  console.error(
    `The benchmark needs ${name}. On Debian: apt-get install --no-install-recommends nginx-light openssl`,
  )
  process.exit(1)
}

function makeCertificate() {
  execFileSync(
    'openssl',
    [
      ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost'.split(
        ' ',
      ),
      ...'-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem'.split(' '),
    ],
    { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  )
}

function startNginx() {
  const child = spawn(
    'nginx',
    ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  child.on('exit', (code) => {
    console.error(`nginx ended with ${code}: ${readFileSync(join(folder, 'error.log'), 'utf8')}`)
    process.exit(1)
  })
  return child
}

async function untilListening() {
  for (let tries = 0; tries < 100; tries++) {
    const answered = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(1000) }).catch(
      () => undefined,
    )
    if (answered?.ok) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('nginx does not answer')
}
