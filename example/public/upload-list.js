import { button, byId, element, reconcile, setText } from './dom.js'
import { clockOf, sizeOf } from './format.js'
import { announce } from './notice.js'
import { isUnderWay } from './upload-queue.js'

const [panel, list, summary, cancelAll, clearFinished] = [
  'queue',
  'queue-list',
  'queue-summary',
  'cancel-all',
  'clear-finished',
].map(byId)
const [fold, foldedList, foldedSummary] = ['folded', 'folded-list', 'folded-summary'].map(byId)

/** How long a stored upload is shown before it is folded away. */
const shownMs = 4000

/** Quarters of all that were told, so that a screen reader is not told of each percent. */
let toldQuarters = 0

/** Shows the uploads of a queue, with what can be done with each. */
export function showUploads(queue) {
  queue.addEventListener('change', () => show(queue))
  queue.addEventListener('end', ({ detail }) => announceEnd(detail))
  cancelAll.addEventListener('click', () => {
    queue.cancelAll()
    clearFinished.focus()
  })
  clearFinished.addEventListener('click', () => {
    queue.remove(...queue.uploads.filter((upload) => !isUnderWay(upload)))
    byId('new-files').focus({ preventScroll: true })
  })
  setInterval(() => foldStored(queue), 1000)
}

/** Folds away what is stored, but nothing that somebody points at or has the focus in, and nothing above a pointer. */
function foldStored(queue) {
  if (byId('list').matches(':hover')) return
  const inUse = list.querySelector(':scope > :is(:hover, :focus-within)')?.dataset.key
  const isDue = ({ id, state, endedAt }) =>
    state === 'stored' && performance.now() - endedAt > shownMs && String(id) !== inUse
  const due = queue.uploads.filter((upload) => !upload.isFolded && isDue(upload))
  for (const upload of due) upload.isFolded = true
  if (due.length > 0) show(queue)
}

function show(queue) {
  const { uploads } = queue
  panel.hidden = uploads.length === 0
  const fill = { make: (upload) => make(queue, upload), update }
  const folded = uploads.filter(({ isFolded }) => isFolded)
  reconcile(
    list,
    uploads.filter(({ isFolded }) => !isFolded),
    fill,
  )
  reconcile(foldedList, folded, fill)
  fold.hidden = folded.length === 0
  setText(foldedSummary, folded.length === 1 ? '1 stored upload' : `${folded.length} stored uploads`)
  setText(summary, summaryOf(uploads))
  cancelAll.disabled = !uploads.some(isUnderWay)
  clearFinished.disabled = uploads.every(isUnderWay)
  announceQuarters(uploads.filter(({ state }) => state !== 'cancelled'))
}

function make(queue, upload) {
  const title = upload.purpose ? `${upload.file.name} – ${upload.purpose}` : upload.file.name
  const again = button('', () => queue.retry(upload))
  const end = button('', () => {
    if (isUnderWay(upload)) queue.cancel(upload)
    else {
      const next = card.nextElementSibling ?? card.previousElementSibling
      queue.remove(upload)
      ;(next?.querySelector('button:last-of-type') ?? byId('new-files')).focus()
    }
  })
  const bar = element('progress', { max: 1, value: 0, 'aria-label': `Upload of ${upload.file.name}` })
  const card = element(
    'li',
    { className: 'upload' },
    element(
      'div',
      {},
      element('p', { className: 'name clip', textContent: title, title }),
      bar,
      element('p', { className: 'soft small upload-state' }),
    ),
    element('div', { className: 'actions upload-actions' }, again, end),
  )
  return card
}

function update(card, upload) {
  const [again, end] = card.querySelectorAll('button')
  card.dataset.state = upload.state
  card.querySelector('progress').value = upload.sent
  setText(card.querySelector('.upload-state'), stateOf(upload))
  label(end, isUnderWay(upload) ? 'Cancel' : 'Remove', upload)
  label(again, 'Try again', upload)
  const isNeedless = isUnderWay(upload) || upload.state === 'stored'
  if (isNeedless && document.activeElement === again) end.focus()
  again.classList.toggle('absent', isNeedless)
}

function label(place, text, { file }) {
  setText(place, text)
  place.setAttribute('aria-label', `${text}: ${file.name}`)
}

function stateOf({ state, file, sent, speed, problem }) {
  switch (state) {
    case 'waiting':
      return `Waiting · ${sizeOf(file.size)}`
    case 'sending':
      return `${percentOf(sent)} of ${sizeOf(file.size)} · ${paceOf(speed, file.size * (1 - sent))}`
    case 'storing':
      return 'Sent. Waiting for S3 …'
    case 'stored':
      return `Stored · ${sizeOf(file.size)}`
    case 'cancelled':
      return 'Cancelled. Nothing of it is kept.'
    case 'failed':
      return `Not stored. ${problem}`
  }
}

function paceOf(speed, bytesLeft) {
  if (speed === 0) return 'nothing moves right now'
  return `${sizeOf(speed)}/s · ${clockOf(bytesLeft / speed)} left`
}

function percentOf(part) {
  return `${Math.floor(part * 100)} %`
}

function summaryOf(uploads) {
  const stored = uploads.filter(({ state }) => state === 'stored').length
  const running = uploads.filter(isUnderWay)
  const counts = `${stored} of ${uploads.length} stored`
  if (running.length < 2) return counts
  const bytesLeft = running.reduce((sum, { file, sent }) => sum + file.size * (1 - sent), 0)
  const speed = running.reduce((sum, upload) => sum + upload.speed, 0)
  return speed === 0 ? counts : `${counts} · ${paceOf(speed, bytesLeft)}`
}

function announceQuarters(uploads) {
  const all = uploads.reduce((sum, { file }) => sum + file.size, 0)
  const sent = uploads.reduce((sum, upload) => sum + upload.file.size * upload.sent, 0)
  const quarters = all === 0 ? 0 : Math.floor((sent / all) * 4)
  if (quarters > toldQuarters && quarters < 4) announce(`${quarters * 25} % of all uploads are sent.`)
  toldQuarters = quarters
}

function announceEnd(upload) {
  announce(`${upload.file.name}: ${stateOf(upload)}`)
}
