import { request } from './api.js'
import { button, byId, element, reconcile, setText } from './dom.js'
import { clockOf, dateOf, secondsUntil, sizeOf } from './format.js'
import { announce, confirm, warn } from './notice.js'
import { showImage } from './thumbnail.js'

const [list, title, empty, otherFile] = ['list', 'list-title', 'empty', 'other-file'].map(byId)

/** The documents on the page, by id: the elements' event listeners look here for what is there now. */
const documents = new Map()
/** The document that the next file in `otherFile` is for. */
let replaced

/** Shows the list, and sends what takes a document's place through the queue. */
export function showDocuments(queue) {
  otherFile.addEventListener('change', () => {
    const [file] = otherFile.files
    if (file) queue.add(file, `/documents/${replaced.id}/file`, `in place of ${replaced.file.name}`)
    otherFile.value = '' // The same file can then be picked again.
  })
  queue.addEventListener('end', ({ detail: { url, problem } }) => {
    const id = /^\/documents\/(.+)\/file$/.exec(url)?.[1]
    const place = [...list.children].find((child) => child.dataset.key === id)
    if (place) setText(place.querySelector('.problem'), problem ? `Not replaced. ${problem}` : '')
  })
  setInterval(() => {
    for (const item of list.children) showLife(item)
  }, 1000)
}

export async function loadDocuments() {
  try {
    show((await request('/documents')).filter(({ file }) => file?.url))
  } catch (cause) {
    warn(`The list could not be loaded. ${cause.message}`)
  }
}

function show(found) {
  documents.clear()
  for (const item of found) documents.set(item.id, item)
  reconcile(list, found, { make, update })
  empty.hidden = found.length > 0
}

function make({ id }) {
  const replace = button('Replace', () => {
    replaced = documents.get(id)
    otherFile.click()
  })
  const remove = button('Delete', () => askAndDelete(documents.get(id)), { className: 'danger' })
  const renew = button('New link', () => renewLink(id), { className: 'plain small' })
  return element(
    'li',
    { className: 'row document' },
    element('div', { className: 'thumbnail' }),
    element(
      'div',
      {},
      element('a', { className: 'name file-link', target: '_blank', rel: 'noopener' }),
      element('p', { className: 'soft small about' }),
      element('p', { className: 'soft small link-life' }, element('span'), renew),
      element('p', { className: 'problem small' }),
    ),
    element('div', { className: 'actions document-actions' }, replace, remove),
  )
}

function update(item, { id, file, updatedAt }) {
  const link = item.querySelector('a')
  setText(link, file.name)
  setText(item.querySelector('.about'), [sizeOf(file.size), file.contentType, dateOf(updatedAt)].join(' · '))
  const [renew, replace, remove] = item.querySelectorAll('button')
  renew.setAttribute('aria-label', `New link for ${file.name}`)
  replace.setAttribute('aria-label', `Replace ${file.name}`)
  remove.setAttribute('aria-label', `Delete ${file.name}`)
  showImage(item.querySelector('.thumbnail'), file, async () => (await request(`/documents/${id}`)).file.url)
  showLife(item)
}

/** How long the link is good for; one that has ended is none any more. */
function showLife(item) {
  const { file } = documents.get(item.dataset.key) ?? {}
  if (file === undefined) return
  const link = item.querySelector('a')
  const [text, renew] = item.querySelector('.link-life').children
  const seconds = file.urlExpiresAt === null ? Number.POSITIVE_INFINITY : secondsUntil(file.urlExpiresAt)
  const hasEnded = seconds <= 0
  if (hasEnded) link.removeAttribute('href')
  else if (link.getAttribute('href') !== file.url) link.href = file.url
  setText(
    text,
    hasEnded ? 'Link has ended' : Number.isFinite(seconds) ? `Link good for ${clockOf(seconds)}` : '',
  )
  renew.classList.toggle('absent', !hasEnded)
  item.dataset.link = hasEnded ? 'ended' : 'good'
}

async function renewLink(id) {
  try {
    const item = await request(`/documents/${id}`)
    documents.set(id, item)
    const place = [...list.children].find((child) => child.dataset.key === id)
    update(place, item)
    place.querySelector('a').focus()
    announce(`${item.file.name} has a new link.`)
  } catch (cause) {
    warn(`There is no new link. ${cause.message}`)
  }
}

async function askAndDelete({ id, file }) {
  const details = 'Its row goes now, and ten seconds later the object in S3.'
  if (!(await confirm(`Delete “${file.name}”?`, details, 'Delete'))) return
  try {
    await request(`/documents/${id}`, { method: 'DELETE' })
    const place = [...list.children].find((child) => child.dataset.key === id)
    const neighbour = place?.nextElementSibling ?? place?.previousElementSibling
    await loadDocuments()
    ;(neighbour?.querySelector('.danger') ?? title).focus()
    announce(`${file.name} is deleted.`)
  } catch (cause) {
    warn(`“${file.name}” was not deleted. ${cause.message}`)
  }
}
