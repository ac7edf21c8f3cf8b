import { endpointIn } from '../aws/endpoint.ts';
import { RegistryError } from '../error.ts';

/** Where zips rest in S3-compatible storage. */
export interface BucketPlace {
  /** Of a zip's key: what is before it, with a slash at its end. */
  readonly base: URL;
  readonly bucket: string;
  readonly region: string;
}

/**
 * Reads `s3://BUCKET[/PREFIX]`. Region and endpoint come from the usual variables. An endpoint of one's own (and a bucket
 * with dots, which no certificate covers) is spoken to by path: `https://ENDPOINT/BUCKET/...`.
 * @throws RegistryError `registry.name-invalid`
 */
export function bucketPlace(text: string, environment: NodeJS.ProcessEnv): BucketPlace {
  const [, bucket, path = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:\/[\w.-]+)*)\/?$/.exec(text) ?? [];
  if (bucket === undefined || path.split('/').some((part) => part === '.' || part === '..'))
    throw invalid(
      `"${text.slice(0, 200)}" is not the place of a bucket.`,
      'Write TOWPATH_ZIPS as `s3://BUCKET` or `s3://BUCKET/PREFIX`.',
    );
  const region = environment['AWS_REGION'] || environment['AWS_DEFAULT_REGION'] || 'us-east-1';
  if (!/^[a-z0-9-]{1,40}$/.test(region))
    throw invalid(`"${region.slice(0, 60)}" is no region.`, 'Write AWS_REGION as `eu-central-1`.');
  const endpoint = endpointIn(environment, 'AWS_ENDPOINT_URL_S3');
  if (endpoint !== null) return { base: new URL(`${bucket}${path}/`, endpoint), bucket, region };
  const host = `s3.${region}.amazonaws.com`;
  const base = bucket.includes('.') ? `https://${host}/${bucket}${path}/` : `https://${bucket}.${host}${path}/`;
  return { base: new URL(base), bucket, region };
}

function invalid(what: string, fix: string): RegistryError {
  return new RegistryError({ code: 'registry.name-invalid', what, fix });
}
