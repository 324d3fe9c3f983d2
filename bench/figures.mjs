/** What is measured: title, unit and, where more is better, `more`. */
export const figures = {
  'cpu-http': { title: 'CPU per GB, 100 MB files, S3 over HTTP', unit: 's/GB' },
  'cpu-tls': { title: 'CPU per GB, 100 MB files, S3 over TLS', unit: 's/GB' },
  'throughput-http': {
    title: 'Throughput of one upload, 100 MB files, S3 over HTTP',
    unit: 'MB/s',
    more: true,
  },
  'throughput-tls': {
    title: 'Throughput of one upload, 100 MB files, S3 over TLS',
    unit: 'MB/s',
    more: true,
  },
}
