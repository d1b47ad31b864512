"""envoy/envoy.yaml with the native module in the place of the wasm module: HOST=native of `make run` and `make demo`."""

import yaml

WASM = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"
NATIVE = "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter"
MODULE = "openai_gateway_filter"
"""Envoy looks for lib<this>.so in ENVOY_DYNAMIC_MODULES_SEARCH_PATH."""


def converted(text):
    """The same configuration for the other host (only the filter and the names of its counters differ), and the
    variables that the VM had: a library has Envoy's own environment."""
    variables = {}
    config = filters(yaml.safe_load(text), variables)
    runtime = {"envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix": True}
    layers = config.setdefault("layered_runtime", {}).setdefault("layers", [])
    layers.append({"name": "native", "static_layer": runtime})
    return yaml.safe_dump(config, sort_keys=False, allow_unicode=True), variables


def filters(value, variables):
    """`value` with each wasm filter, wherever it stands, made a dynamic module with the same configuration."""
    if isinstance(value, list):
        return [filters(item, variables) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("@type") != WASM:
        return {name: filters(member, variables) for name, member in value.items()}
    config = value["config"]
    variables.update(config.get("vm_config", {}).get("environment_variables", {}).get("key_values", {}))
    return {
        "@type": NATIVE,
        "dynamic_module_config": {"name": MODULE},
        "filter_name": config["name"],
        "filter_config": config["configuration"],
    }
