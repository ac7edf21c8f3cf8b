import type { ServiceDefinition } from './service.ts';

type Services = Readonly<Record<string, Pick<ServiceDefinition, 'bases'>>>;

/**
 * The names of services in the order in which they can be planned: each base before what is built upon it.
 * @param onCycle is told of each circle, from the service that closes it round to itself
 */
export function buildOrder(
  services: Services,
  onCycle: (circle: readonly string[]) => void = () => undefined,
): string[] {
  const order = new Set<string>();
  const visit = (name: string, way: readonly string[]): void => {
    const at = way.indexOf(name);
    if (at !== -1) onCycle([...way.slice(at), name]);
    if (at !== -1 || order.has(name)) return;
    for (const base of services[name]?.bases ?? []) if (Object.hasOwn(services, base)) visit(base, [...way, name]);
    order.add(name);
  };
  for (const name of Object.keys(services)) visit(name, []);
  return [...order];
}
