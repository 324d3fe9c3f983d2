import { loadDocuments, showDocuments } from './document-list.js'
import { byId, onDrop } from './dom.js'
import { followJournal } from './journal.js'
import { announce, warn } from './notice.js'
import { loadProfile, showProfile } from './profile.js'
import { showUploads } from './upload-list.js'
import { UploadQueue } from './upload-queue.js'

const queue = new UploadQueue()
const newFiles = byId('new-files')

showUploads(queue)
showDocuments(queue)
showProfile(queue)
followJournal(load)

newFiles.addEventListener('change', () => {
  take([...newFiles.files])
  newFiles.value = '' // The same files can then be picked again.
})
onDrop(byId('drop'), take)
addEventListener('paste', ({ clipboardData }) => take([...clipboardData.files]))

// A file dropped beside the box would otherwise take the page's place.
for (const type of ['dragover', 'drop']) addEventListener(type, (event) => event.preventDefault())

addEventListener('beforeunload', (event) => {
  if (queue.isBusy) event.preventDefault()
})

function take(files, folders = 0) {
  for (const file of files) queue.add(file, '/documents')
  if (files.length > 0)
    announce(files.length === 1 ? `${files[0].name} is queued.` : `${files.length} files are queued.`)
  if (folders > 0) warn('Folders cannot be uploaded. Drop the files that are in them.')
}

function load() {
  loadDocuments()
  loadProfile()
}
