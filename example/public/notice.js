import { byId } from './dom.js'

/** For screen readers: what changed elsewhere on the page. */
export function announce(text) {
  byId('polite').textContent = text
}

/** Tells, without moving the page, what went wrong. Stays until it is dismissed or something else is told. */
export function warn(text) {
  byId('urgent').textContent = text
  byId('notice-text').textContent = text
  byId('notice').hidden = false
}

byId('dismiss').addEventListener('click', () => {
  byId('notice').hidden = true
  byId('list-title').focus({ preventScroll: true })
})

/** Asks before something is done that cannot be undone. The focus comes back to where it was. */
export function confirm(question, details, yes) {
  const dialog = byId('confirm')
  byId('confirm-question').textContent = question
  byId('confirm-details').textContent = details
  byId('confirm-yes').textContent = yes
  dialog.returnValue = 'no' // Escape closes with what was there.
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true })
  })
}
