# What the scripts of the mistakes have in common. They start from a machine on which the
# lab was done rightly, unless they say otherwise, and undo or bend a part of it.

address() { docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"; }

# anew NAME SED: a container of that name in the place of the old one, its program changed.
anew() {
    docker rm --force "$1" >/dev/null
    docker create --name "$1" server >/dev/null
    sed "$2" ~/server/server.py >changed.py
    docker cp changed.py "$1:/server.py" >/dev/null 2>&1
    docker start "$1" >/dev/null
}

# another NAME: a container of that name from an image that is not the document's.
another() {
    docker tag server other
    docker rm --force "$1" >/dev/null
    docker run --detach --name "$1" other
}

request() {
    curl --silent --show-error --retry 60 --retry-delay 1 --retry-connrefused \
        "http://$(address "$1"):4444/$2"
}

# alive NAME: wait until it is; ask NAME: a unit of work.
alive() { request "$1" heartbeat; }
ask() { request "$1" doWork; }

# note: the addresses as they are now.
note() { for name in server1 server2; do echo "$name $(address $name)"; done >~/addresses; }
