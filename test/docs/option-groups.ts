import { DataSource } from 'typeorm'
import { ApiS3File, apiS3FileDefaults } from '../../src/adapters/nest/api-s3-file.ts'
import { checkModuleOptions } from '../../src/adapters/nest/module-options.ts'
import { healthDefaults, S3FileHealthIndicator } from '../../src/adapters/nest/s3-file-health-indicator.ts'
import { findField } from '../../src/core/file-field.ts'
import { S3File } from '../../src/core/s3-file.ts'
import { configureStorages } from '../../src/core/storage-registry.ts'
import { FileJanitor, janitorDefaults } from '../../src/orm/file-janitor.ts'
import { resolveLifecycle } from '../../src/orm/lifecycle-options.ts'
import { reconcile, reconcileDefaults } from '../../src/orm/reconcile.ts'
import { S3FileField, s3FileColumn } from '../../src/orm/s3-file-field.ts'
import { S3FileSubscriber } from '../../src/orm/s3-file-subscriber.ts'
import { lintDefaults, lintStorage } from '../../src/storage/lint-storage.ts'
import { MemoryStorage } from '../../src/storage/memory-storage.ts'
import { S3Storage } from '../../src/storage/s3-storage.ts'
import { s3StorageDefaults } from '../../src/storage/s3-storage-defaults.ts'
import { clamAvDefaults, clamAvInspector } from '../../src/upload/clam-av-inspector.ts'
import { defaultFieldMemoryBytes } from '../../src/upload/field-memory.ts'
import { resolveLimits } from '../../src/upload/form-limits.ts'
import { uploadFormFromRequest, uploadFromRequest } from '../../src/upload/upload-from-request.ts'
import { uploadFromStream } from '../../src/upload/upload-from-stream.ts'
import { setUploadLimits, defaults as uploadLimitDefaults } from '../../src/upload/upload-slots.ts'
import { resolveTarget } from '../../src/upload/upload-target.ts'

/** An interface of options, with the code that takes them. */
export interface OptionGroup {
  name: string
  /** Gives the code what it has to refuse. */
  give: (options: never) => unknown
  /** What the code has where an option is not given. */
  defaults: object
}

const bucket = 'any'
const storage = new MemoryStorage()
configureStorages({ default: storage })
const dataSource = new DataSource({ type: 'sqljs' })
const target = resolveTarget('uploadFromRequest', {})
const targetDefaults = {
  storage: target.storageName,
  keyPrefix: target.keyPrefix,
  key: target.key,
  minSizeBytes: target.policies[0]?.minSizeBytes,
}

class Holder {
  file!: S3File
}
S3FileField()(Holder.prototype, 'file')
const { layout, isMultiple, onReplace, onRemove, checksOnSave } = findField(Holder as never, 'file')
const { nullable, select = true } = s3FileColumn()

export const optionGroups: OptionGroup[] = [
  {
    name: 'S3FileFieldOptions',
    give: s3FileColumn,
    defaults: {
      ...targetDefaults,
      layout,
      multiple: isMultiple,
      onReplace,
      onRemove,
      checkOnSave: checksOnSave,
      nullable,
      select,
    },
  },
  {
    name: 'UploadRequestOptions',
    give: (options) => uploadFromRequest(undefined, options),
    defaults: targetDefaults,
  },
  {
    name: 'UploadFormOptions',
    give: (options) => uploadFormFromRequest(undefined, options),
    defaults: targetDefaults,
  },
  {
    name: 'UploadStreamOptions',
    give: (options) => uploadFromStream(Buffer.of(), options),
    defaults: targetDefaults,
  },
  {
    name: 'FormLimits',
    give: (limits) => uploadFromRequest(undefined, { limits }),
    defaults: resolveLimits({}, 1),
  },
  {
    name: 'PrefixQueryParam',
    give: (prefixQueryParam) => uploadFromRequest(undefined, { prefixQueryParam }),
    defaults: {},
  },
  {
    name: 'UploadLimits',
    give: setUploadLimits,
    defaults: { ...uploadLimitDefaults, fieldMemoryBytes: defaultFieldMemoryBytes },
  },
  { name: 'ClamAvOptions', give: clamAvInspector, defaults: clamAvDefaults },
  {
    name: 'S3StorageOptions',
    give: (options: object) => new S3Storage({ bucket, ...options }),
    defaults: { ...s3StorageDefaults, keyPrefix: new S3Storage({ bucket }).keyPrefix, clientConfig: {} },
  },
  {
    name: 'ObjectParams',
    give: (objectParams) => new S3Storage({ bucket, objectParams }),
    defaults: {},
  },
  { name: 'UrlOptions', give: (options) => new S3File({ key: 'a' }).url(options), defaults: {} },
  {
    name: 'OpenOptions',
    give: (options) => new S3File({ key: 'a' }).stream(options),
    defaults: { start: 0 },
  },
  {
    name: 'LifecycleOptions',
    give: (options) => S3FileSubscriber.with(options),
    defaults: resolveLifecycle({}),
  },
  {
    name: 'FileJanitorOptions',
    give: (options) => new FileJanitor(dataSource, options),
    defaults: janitorDefaults,
  },
  {
    name: 'ReconcileOptions',
    give: (options) => reconcile(dataSource, options).next(),
    defaults: reconcileDefaults,
  },
  {
    name: 'MemoryStorageOptions',
    give: (options) => new MemoryStorage(options),
    defaults: { keyPrefix: storage.keyPrefix },
  },
  { name: 'StorageLintOptions', give: (options) => lintStorage(storage, options), defaults: lintDefaults },
  { name: 'S3FileModuleOptions', give: checkModuleOptions, defaults: {} },
  {
    name: 'S3FileHealthOptions',
    give: (options) => S3FileHealthIndicator.prototype.check(options),
    defaults: healthDefaults,
  },
  { name: 'ApiS3FileOptions', give: (options) => ApiS3File('file', options), defaults: apiS3FileDefaults },
]
