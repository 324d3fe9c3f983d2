/** A file field as it is without options, but for its label. */
export const anyField = {
  layout: 'json',
  isMultiple: false,
  onReplace: 'delete',
  onRemove: 'delete',
  checksOnSave: true,
  rules: {},
} as const
