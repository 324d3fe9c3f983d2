export type { S3FileErrorCode, S3FileErrorOptions } from './core/errors.js'
export {
  ConfigurationError,
  FileRecordError,
  isS3FileError,
  JournalError,
  S3FileError,
  StorageError,
  UploadError,
} from './core/errors.js'
export type {
  CleanupFailEvent,
  DeleteEvent,
  RetryEvent,
  S3FileEvents,
  UploadCompleteEvent,
  UploadEvent,
  UploadFailEvent,
  UploadPartEvent,
} from './core/events.js'
export type { FieldOwner, FileLayout, FileProperty, FileRules } from './core/file-field.js'
export type { FileInspector, InspectedFile, Inspection, InspectionResult } from './core/file-inspector.js'
export type { FileRecord, S3FileInit } from './core/file-record.js'
export type {
  DeleteFailure,
  FileStorage,
  ListedObject,
  ListedUpload,
  ObjectParams,
  ObjectParamsContext,
  ObjectParamsOption,
  ObjectStat,
  OpenOptions,
  PutOptions,
  SignedUrl,
  StoredObject,
  StoredPart,
  UrlOptions,
} from './core/file-storage.js'
export type { DiagnoseOptions, Finding, FindingStatus } from './core/finding.js'
export type { KeyContext, KeyFunction, KeyStrategy } from './core/key-strategy.js'
export type { ObjectRef } from './core/object-ref.js'
export { type FileJson, isS3File, S3File } from './core/s3-file.js'
export { configureStorages, getStorage } from './core/storage-registry.js'
export type { LedgerEntry, UploadLedger } from './core/upload-ledger.js'
export { type FileWithUrl, type WithUrls, withUrls } from './core/with-urls.js'
export { filesSettled } from './orm/cleanup-queue.js'
export { FileJanitor, type FileJanitorOptions, type JanitorReport } from './orm/file-janitor.js'
export { FileJournalEntry } from './orm/file-journal-entry.js'
export { createFileTriggers, dropFileTriggers, fileTriggers } from './orm/file-triggers.js'
export type { JournalBacklog } from './orm/journal-backlog.js'
export { addJournalIndex } from './orm/journal-index.js'
export type { LifecycleOptions } from './orm/lifecycle-options.js'
export { type ReconcileOptions, reconcile } from './orm/reconcile.js'
export type {
  DanglingFinding,
  OrphanFinding,
  ReconcileFinding,
  ReconcileProgress,
  ReconcileSummary,
  StaleUploadFinding,
} from './orm/reconcile-findings.js'
export { fileJournal } from './orm/register-journals.js'
export { S3FileField, type S3FileFieldOptions, s3FileColumn } from './orm/s3-file-field.js'
export { S3FileSubscriber } from './orm/s3-file-subscriber.js'
export { setPartMemoryLimit } from './storage/part-memory.js'
export { S3Storage } from './storage/s3-storage.js'
export type { S3StorageOptions } from './storage/s3-storage-options.js'
export type { SignFunction } from './storage/s3-url-signer.js'
export { type ClamAvOptions, clamAvInspector } from './upload/clam-av-inspector.js'
export type { FormLimits } from './upload/form-limits.js'
export type { IntoByField } from './upload/form-targets.js'
export type { PrefixQueryParam } from './upload/prefix-query-param.js'
export { sha256Inspector } from './upload/sha256-inspector.js'
export {
  type UploadedForm,
  type UploadFormOptions,
  type UploadRequestOptions,
  uploadFormFromRequest,
  uploadFromRequest,
} from './upload/upload-from-request.js'
export { type StreamSource, type UploadStreamOptions, uploadFromStream } from './upload/upload-from-stream.js'
export type { UploadProgress } from './upload/upload-session.js'
export { setUploadLimits, type UploadLimits } from './upload/upload-slots.js'
export type { Into, TargetOptions } from './upload/upload-target.js'
