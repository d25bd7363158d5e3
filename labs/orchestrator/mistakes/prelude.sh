# What the scripts of the mistakes have in common. Each changes the program that the document
# writes, and lets it begin anew: without a server, as when it was first started.

cd ~/orchestrator
api=http://localhost:4672/service/0

# change FILE EXPRESSION: change the program with sed, and see that it was changed.
change() {
    local before
    before=$(cat "$1")
    sed --in-place --regexp-extended "$2" "$1"
    [ "$(cat "$1")" != "$before" ] || { echo "$1 has nothing to be changed by $2" >&2; exit 1; }
}

# gone: no orchestrator runs, and there is no server.
gone() {
    docker stop --time 5 orchestrator >/dev/null
    docker ps --all --quiet --filter label=orchestrated | xargs --no-run-if-empty docker rm --force >/dev/null
    for id in worker1 worker2; do curl --silent --output /dev/null --request DELETE "$api/$id"; done
}

# again: begin anew with the program as it is now.
again() {
    gone
    docker cp . orchestrator:/ 2>/dev/null
    docker start orchestrator >/dev/null
}
