import { byId, element, reconcile, setText } from './dom.js'
import { clockOf, dateOf, secondsUntil, timeOf } from './format.js'

const [list, empty, connection] = ['journal', 'journal-empty', 'connection'].map(byId)

const titles = { open: 'Open', saved: 'Saved', 'let-go': 'Let go', deleted: 'Deleted' }

/** Follows the journal. `onRowChange` is called when a row has come to a file, or let one go, here or elsewhere. */
export function followJournal(onRowChange) {
  const source = new EventSource('/journal') // It connects again by itself.
  let lines = []
  let seen
  source.addEventListener('open', () => {
    seen = undefined // Who knows what was missed.
    setConnection('live', 'Connected')
  })
  source.addEventListener('error', () => setConnection('lost', 'The server does not answer. Trying again …'))
  source.addEventListener('message', ({ data }) => {
    lines = JSON.parse(data).map((line) => ({ ...line, id: line.key }))
    show(lines)
    const ofRows = JSON.stringify(lines.filter(({ phase }) => phase === 'saved' || phase === 'let-go'))
    if (ofRows !== seen) onRowChange()
    seen = ofRows
  })
  setInterval(() => show(lines), 1000)
}

function setConnection(state, text) {
  connection.dataset.state = state
  setText(connection, text)
}

function show(lines) {
  reconcile(list, lines, { make, update })
  empty.hidden = lines.length > 0
}

function make({ key }) {
  return element(
    'li',
    { className: 'row line' },
    element('span', { className: 'phase' }),
    element(
      'div',
      {},
      element('p', { className: 'name small clip', textContent: key.split('/').at(-1) }),
      element('p', { className: 'small what' }),
      element('p', { className: 'soft key clip', title: key }, element('time'), ` · ${key}`),
    ),
  )
}

function update(item, line) {
  item.dataset.phase = line.phase
  setText(item.querySelector('.phase'), titles[line.phase])
  setText(item.querySelector('.what'), meaningOf(line))
  const time = item.querySelector('time')
  time.dateTime = line.changedAt
  setText(time, timeOf(line.changedAt))
}

function meaningOf({ phase, dueAt, error }) {
  switch (phase) {
    case 'open':
      return `No row has it yet. Unless one does by ${dateOf(dueAt)}, it goes.`
    case 'saved':
      return 'A row has it, its entry is struck.'
    case 'let-go': {
      if (error) return `Could not be deleted so far, will be tried again: ${error}`
      const seconds = secondsUntil(dueAt)
      return seconds > 0 ? `No row has it. It goes in ${clockOf(seconds)}.` : 'No row has it. It goes now.'
    }
    case 'deleted':
      return 'Neither object nor entry is left.'
  }
}
