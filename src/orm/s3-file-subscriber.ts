import { type EntitySubscriberInterface, EventSubscriber, type LoadEvent } from 'typeorm'
import { UnreadableS3File } from '../core/unreadable-s3-file.js'
import { fileColumnsOf } from './file-columns.js'

/**
 * Goes into `DataSource.subscribers`. Names the row in the error of a file column that cannot be read.
 */
@EventSubscriber()
export class S3FileSubscriber implements EntitySubscriberInterface {
  afterLoad(entity: object, event?: LoadEvent<object>): void {
    if (event === undefined) return
    for (const { fileOf } of fileColumnsOf(event.metadata)) {
      const file = fileOf(entity)
      if (file instanceof UnreadableS3File) file.locate(JSON.stringify(event.metadata.getEntityIdMap(entity)))
    }
  }
}
