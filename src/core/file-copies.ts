/**
 * Makes serializers and copies of properties see these and no others: `Object.keys`, spread, structuredClone and
 * class-transformer go by the enumerable properties of an object's own.
 */
export function showProperties(file: object, properties: object): void {
  for (const [name, value] of Object.entries(properties)) {
    Object.defineProperty(file, name, { value, enumerable: true })
  }
}

const classes = new WeakMap<object, object>()

/**
 * Makes a file its own copy: it does not change, and what it is known by (its row, its upload) belongs to this very object.
 * lodash and its like leave alone what has a tag of its own (`Symbol.toStringTag`). class-transformer copies a value by
 * `new value.constructor()` and then by its properties, without those that the class has as accessors.
 */
export function copyAsItself<Class extends abstract new (...args: never[]) => object>(
  fileClass: Class,
): void {
  Object.defineProperty(fileClass.prototype, 'constructor', {
    configurable: true,
    get(this: object) {
      if (this === fileClass.prototype) return fileClass
      const own = classes.get(this) ?? new Proxy(fileClass, { construct: () => this })
      classes.set(this, own)
      return own
    },
  })
}
