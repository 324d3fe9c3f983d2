export function byId(id) {
  return document.getElementById(id)
}

/** Makes an element with properties, or attributes where the name has a hyphen, and children. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes('-')) made.setAttribute(key, value)
    else made[key] = value
  }
  made.append(...children)
  return made
}

export function button(text, onClick, properties = {}) {
  const made = element('button', { type: 'button', textContent: text, ...properties })
  made.addEventListener('click', onClick)
  return made
}

/** Changes a text only where it differs, so that nothing is read out or laid out again for nothing. */
export function setText(place, text) {
  if (place.textContent !== text) place.textContent = text
}

/**
 * Brings the children of `list` in line with `items`, and keeps those that are there: their focus, images and state.
 * `make(item)` makes a child, `update(child, item)` fills it in.
 */
export function reconcile(list, items, { make, update }) {
  const children = new Map([...list.children].map((child) => [child.dataset.key, child]))
  let place = list.firstElementChild
  for (const item of items) {
    const key = String(item.id)
    let child = children.get(key)
    children.delete(key)
    if (child === undefined) {
      child = make(item)
      child.dataset.key = key
    }
    update(child, item)
    if (child === place) place = place.nextElementSibling
    else list.insertBefore(child, place)
  }
  for (const child of children.values()) child.remove()
}

/** Takes files that are dropped on an element; folders are left out and told of. */
export function onDrop(zone, take) {
  zone.addEventListener('dragover', () => zone.classList.add('over'))
  zone.addEventListener('dragleave', ({ relatedTarget }) => {
    if (!zone.contains(relatedTarget)) zone.classList.remove('over')
  })
  zone.addEventListener('drop', ({ dataTransfer }) => {
    zone.classList.remove('over')
    const items = [...dataTransfer.items].filter(({ kind }) => kind === 'file')
    const files = items
      .filter((item) => !item.webkitGetAsEntry()?.isDirectory)
      .map((item) => item.getAsFile())
    take(files, items.length - files.length)
  })
}
