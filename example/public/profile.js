import { request } from './api.js'
import { byId, element, onDrop, setText } from './dom.js'
import { announce, confirm, warn } from './notice.js'
import { showImage } from './thumbnail.js'

const [section, portrait, problem, input, choose, remove] = [
  'profile',
  'portrait',
  'picture-problem',
  'picture',
  'choose-picture',
  'remove-picture',
].map(byId)

/** The one picture that there is, or none. */
export function showProfile(queue) {
  const url = '/profile/picture'
  const send = (file) => {
    setText(problem, '')
    if (file) queue.add(file, url, 'your picture')
  }
  queue.addEventListener('end', ({ detail }) => {
    if (detail.url === url) setText(problem, detail.problem ? `${detail.file.name}: ${detail.problem}` : '')
  })
  choose.addEventListener('click', () => input.click())
  input.addEventListener('change', () => {
    send(input.files[0])
    input.value = ''
  })
  onDrop(section, ([file]) => send(file))
  remove.addEventListener('click', async () => {
    if (!(await confirm('Remove your picture?', 'The row stays, without a picture.', 'Remove'))) return
    try {
      await request('/profile/picture', { method: 'DELETE' })
      await loadProfile()
      choose.focus()
      announce('Your picture is removed.')
    } catch (cause) {
      warn(`Your picture was not removed. ${cause.message}`)
    }
  })
}

export async function loadProfile() {
  try {
    const { picture } = await request('/profile')
    remove.disabled = picture === null
    choose.textContent = picture === null ? 'Choose' : 'Change'
    choose.setAttribute('aria-label', picture === null ? 'Choose a picture' : 'Change the picture')
    if (picture !== null) {
      showImage(portrait, picture, async () => (await request('/profile')).picture?.url)
    } else {
      delete portrait.dataset.object
      portrait.replaceChildren(element('span', { textContent: 'none yet' }))
    }
  } catch (cause) {
    warn(`Your picture could not be loaded. ${cause.message}`)
  }
}
