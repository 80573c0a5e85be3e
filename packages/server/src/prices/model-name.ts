/**
 * Whether a request's model is the one of that name, which may stand with a provider before it and a
 * date or a version behind, as the API (`-20260724`, `-latest`), Vertex (`@20260724`), Bedrock
 * (`us.anthropic.…-v1:0`) and routers (`anthropic/…`) write it. Anything else is another model:
 * `claude-opus-5-9` and `claude-opus-5-ultra` are not `claude-opus-5`. `name` is a pattern.
 */
export function isModel(model: string, name: string): boolean {
  const pattern = `^(?:[\\w.]+[./])?(?:${name})(?:[-@]\\d{8}|-latest)?(?:-v\\d+(?::\\d+)?)?$`
  return new RegExp(pattern).test(model)
}

/** The pattern of a name as it is. */
export function literally(name: string): string {
  return name.replaceAll(/[^\w]/g, '\\$&')
}
