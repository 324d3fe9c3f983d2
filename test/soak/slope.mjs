/** The slope of the line that fits the points `[x, y]` best, by least squares. */
export function slopeOf(points) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
  const [middleX, middleY] = [mean(points.map(([x]) => x)), mean(points.map(([, y]) => y))]
  const across = points.reduce((sum, [x, y]) => sum + (x - middleX) * (y - middleY), 0)
  return across / points.reduce((sum, [x]) => sum + (x - middleX) ** 2, 0)
}
