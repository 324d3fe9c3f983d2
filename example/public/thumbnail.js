import { element } from './dom.js'

const imageTypes = ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif']
/** Larger ones are not worth it for a thumbnail: it is the file itself that is loaded. */
const maxBytes = 10_000_000

/**
 * Shows a file's image, or the kind of file where it has none. The image stays while the file is the same: a link is
 * only needed once. `renew()` gives another link, for one that has ended before it was followed.
 */
export function showImage(place, file, renew) {
  const object = file.url.split('?')[0]
  if (place.dataset.object === object) return
  place.dataset.object = object
  if (!imageTypes.includes(file.contentType) || file.size > maxBytes) {
    place.replaceChildren(kindOf(file))
    return
  }
  // The name stands beside it.
  const image = element('img', { alt: '', decoding: 'async', loading: 'lazy', src: file.url })
  image.addEventListener(
    'error',
    async () => {
      const url = await renew().catch(() => undefined)
      if (place.dataset.object !== object) return
      image.addEventListener('error', () => place.replaceChildren(kindOf(file)), { once: true })
      if (url === undefined) place.replaceChildren(kindOf(file))
      else image.src = url
    },
    { once: true },
  )
  place.replaceChildren(image)
}

/** The kind that was found in the bytes and is stored, whatever the name claims: PDF, CSV, TEXT, FILE. */
function kindOf({ contentType }) {
  const [, group, kind] = /^(\w+)\/(?:x-)?([\w-]+)/.exec(contentType ?? '') ?? []
  const known = ['text', 'image', 'audio', 'video'].includes(group) ? group : 'file'
  const label = kind !== undefined && kind.length <= 4 ? kind : known
  return element('span', { textContent: label.toUpperCase(), 'aria-hidden': 'true' })
}
