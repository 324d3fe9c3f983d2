// Reads each line of its input as a request with a form, and answers with what Request.formData() of this Node makes of it.
import { createInterface } from 'node:readline'

for await (const line of createInterface(process.stdin)) {
  const { contentType, body } = JSON.parse(line)
  const request = new Request('http://form/', {
    method: 'POST',
    body: Buffer.from(body, 'base64'),
    headers: { 'content-type': contentType },
  })
  const answer = await entriesOf(request).catch(({ cause }) => ({ refusal: String(cause) }))
  console.log(JSON.stringify(answer))
}

async function entriesOf(request) {
  const entries = []
  for (const [name, value] of await request.formData()) {
    if (typeof value === 'string') entries.push({ name, value })
    else {
      const bytes = Buffer.from(await value.arrayBuffer()).toString('latin1')
      entries.push({ name, file: { name: value.name, bytes } })
    }
  }
  return entries
}
