import { expect, test } from 'vitest';

import { ECR } from '../testing/ecr-server.ts';
import { ecrPlace } from './place.ts';

test('a registry of Amazon ECR is known by its name', () => {
  const at = (registry: string, environment: NodeJS.ProcessEnv = {}) => ecrPlace(registry, environment);
  expect(at(`${ECR}/towpath`)).toMatchObject({
    registryId: '123456789012',
    region: 'eu-central-1',
    prefix: 'towpath/',
    endpoint: new URL('https://api.ecr.eu-central-1.amazonaws.com/'),
  });
  expect(at(ECR)?.prefix).toBe('');
  const endpoint = (host: string): string | undefined => at(`123456789012.${host}`)?.endpoint.host;
  expect(endpoint('dkr.ecr.cn-north-1.amazonaws.com.cn')).toBe('api.ecr.cn-north-1.amazonaws.com.cn');
  expect(endpoint('dkr.ecr-fips.us-gov-west-1.amazonaws.com')).toBe('ecr-fips.us-gov-west-1.amazonaws.com');
  expect(endpoint('dkr-ecr.us-west-2.on.aws')).toBe('api.ecr.us-west-2.amazonaws.com');
  expect(at(ECR, { AWS_ENDPOINT_URL_ECR: 'http://127.0.0.1:4566' })?.endpoint.href).toBe('http://127.0.0.1:4566/');
  for (const other of ['127.0.0.1:5000', 'registry.example.org/towpath', `${ECR}.example.org`, `x${ECR}`])
    expect(at(other)).toBeNull();
  expect(() => at(ECR, { AWS_ENDPOINT_URL_ECR: 'http://aws.example.org' })).toThrow(/not an https address/);
});
