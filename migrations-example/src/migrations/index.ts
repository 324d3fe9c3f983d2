import { CreateInvoices1700000000001 } from './1700000000001-create-invoices.js'
import { AddAttachments1700000000002 } from './1700000000002-add-attachments.js'
import { MoveUploadToFile1700000000003 } from './1700000000003-move-upload-to-file.js'
import { AddFileJournal1700000000004 } from './1700000000004-add-file-journal.js'
import { AddFileTriggers1700000000005 } from './1700000000005-add-file-triggers.js'
import { ExtendFileJournal1700000000006 } from './1700000000006-extend-file-journal.js'

export const migrations = [
  CreateInvoices1700000000001,
  AddAttachments1700000000002,
  MoveUploadToFile1700000000003,
  AddFileJournal1700000000004,
  AddFileTriggers1700000000005,
  ExtendFileJournal1700000000006,
]
