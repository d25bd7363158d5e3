# What the scripts of the mistakes have in common. They start from a machine on which the
# lab was done rightly, unless they say otherwise, and undo or bend a part of it.

api=http://localhost:4672/service

put() { curl --silent --show-error --fail-with-body --request PUT --data "$2" "$api/$1"; }
patch() { curl --silent --show-error --fail-with-body --request PATCH --data "$2" "$api/$1"; }
delete() { curl --silent --show-error --fail-with-body --request DELETE "$api/$1"; }

# service [ID [KEY VALUE]...]: create it as the document says, but for these.
service() {
    local id=${1:-0} host=$IP_ADDR port=4444 protocol=tcp method=rr
    shift || true
    while [ $# -gt 0 ]; do local "$1=$2"; shift 2; done
    put "$id" "{\"host\": \"$host\", \"port\": $port, \"protocol\": \"$protocol\", \"method\": \"$method\"}"
}

# backend SERVICE/ID HOST [PORT [METHOD]]
backend() {
    put "$1" "{\"host\": \"$2\", \"port\": ${3:-4444}, \"method\": \"${4:-nat}\", \"weight\": 100}"
}

both() { backend 0/0 "$(address server1)"; backend 0/1 "$(address server2)"; }

# gorb_started ARGUMENT...: docker run with these, in the background.
gorb_started() { docker run --detach --name gorb "$@" >/dev/null; }

# Wait until Gorb answers, on port 4672 or another one.
gorb_answers() {
    for _ in $(seq 200); do
        curl --silent --output /dev/null "http://localhost:${1:-4672}/service" && return
        sleep 0.2
    done
    return 1
}

# server NAME ARGUMENT...: a server in the place of the one of that name, at its address.
server() {
    docker rm --force "$1" >/dev/null
    docker run --detach --name "$1" "${@:2}" >/dev/null
}

# until_weight_0 SERVICE/ID: wait until Gorb's pulse has found a backend down.
until_weight_0() {
    for _ in $(seq 150); do
        curl --silent "$api/$1" | grep --quiet '"weight": 0,' && return
        sleep 1
    done
    return 1
}
