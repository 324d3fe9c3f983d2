import { Entity } from 'typeorm'
import { FileJournalEntry } from 'typeorm-s3-file'

export const journalTable = 'typeorm_s3_file_demo_journal'

/** With this among the entities, no crash leaves an object that nobody knows of. */
@Entity(journalTable)
export class Journal extends FileJournalEntry {}
