#!/usr/bin/env python3
"""Kills a real `behalf serve` in the middle of its work, again and again, and looks at what it remembers.

Usage: crash_run.py PATH-TO-BEHALF [ROUNDS] [--postgres]

Each round: start the server on the same database, let clients redeem codes, refresh, exchange and revoke, send SIGKILL at a
random moment (with PostgreSQL in some rounds to the database too), start it again, and hold it to these promises by what the
clients saw: every token that was handed out is still good unless its end was asked for; every end that was acknowledged
stands; no code and no refresh token buys twice; the audit log verifies and tells of every redemption once. Standard library
only; everything it makes goes with it.
"""
import base64
import concurrent.futures
import hashlib
import http.client
import json
import os
import random
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

RESOURCE = "https://api.example/planner"
REDIRECT = "https://app.example/cb"
ISSUER = "https://as.example"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
PASSWORD = "correct horse battery"
CLIENT_SECRETS = {name: secrets.token_urlsafe(32) for name in ("app", "runtime", "planner")}
WORKERS = 6

STATE = f"""
[[user]]
id = "u1"
username = "u1"
display_name = "User One"
password_file = "u1.pw"
[[agent]]
id = "a1"
name = "Agent One"
publisher = "Example Agents"
scopes = ["read"]
clients = ["app"]
bearer_actor_tokens = true
refresh_lifetime = "8h"
[[client]]
id = "app"
name = "App"
secret_file = "app.secret"
redirect_uris = ["{REDIRECT}"]
grant_types = ["authorization_code", "refresh_token", "{EXCHANGE}"]
scopes = ["read"]
[[client]]
id = "runtime"
name = "Runtime"
secret_file = "runtime.secret"
grant_types = ["client_credentials"]
agent = "a1"
scopes = ["read"]
[[client]]
id = "planner"
name = "Planner"
secret_file = "planner.secret"
grant_types = ["{EXCHANGE}"]
scopes = ["read"]
resource = "{RESOURCE}"
[[resource]]
id = "{RESOURCE}"
name = "Planner"
scopes = [{{ name = "read", title = "Read" }}]
"""


class Server:
    def __init__(self, program, folder):
        self.program, self.folder, self.process, self.port = program, folder, None, 0

    def start(self):
        self.process = subprocess.Popen([self.program, "serve", "--config", self.folder + "/behalf.toml"],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"behalf serves .* port (\d+)", line)
            if found:
                self.port = int(found[1])
                break
            print("server:", line.rstrip())
        else:
            raise SystemExit("the server does not start")
        # Nobody may stop because nobody reads.
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def end(self, how):
        if self.process is None:
            return
        self.process.send_signal(how)
        self.process.wait(20)
        self.process = None

    def call(self, method, path, form=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            headers = dict(headers or {})
            body = None
            if form is not None:
                body = urllib.parse.urlencode(form, doseq=True)
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read().decode()
        finally:
            connection.close()

    def token(self, client, path="/token", **form):
        basic = base64.b64encode(f"{client}:{CLIENT_SECRETS[client]}".encode()).decode()
        status, _, body = self.call("POST", path, form, {"Authorization": "Basic " + basic})
        return status, json.loads(body) if body else {}


class Browser:
    """Signed in as u1, who has allowed the agent before: a code costs one request."""

    def __init__(self, server):
        self.server, self.cookies = server, {}

    def send(self, method, path, form=None):
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        status, headers, body = self.server.call(method, path, form, {"Cookie": cookie} if cookie else {})
        for line in headers.get_all("Set-Cookie") or []:
            name, value = line.split(";")[0].split("=", 1)
            self.cookies[name] = value
        return status, headers.get("Location", ""), body

    def authorize(self, challenge):
        return self.send("GET", "/authorize?" + urllib.parse.urlencode({
            "response_type": "code", "client_id": "app", "redirect_uri": REDIRECT, "scope": "read offline_access", "state": "s",
            "code_challenge": challenge, "code_challenge_method": "S256", "requested_actor": "a1",
            "resource": RESOURCE}))

    def sign_in_and_allow(self):
        _, location, _ = self.authorize(pkce()[1])
        _, _, page = self.send("GET", location)
        fields = dict(re.findall(r'name="(csrf|request)" value="([^"]*)"', page))
        _, location, _ = self.send("POST", "/login", {**fields, "username": "u1", "password": PASSWORD})
        if location.startswith("/consent"):
            _, _, page = self.send("GET", location)
            form = page[page.index('action="/consent"'):]
            fields = dict(re.findall(r'name="(csrf|request)" value="([^"]*)"', form))
            _, location, _ = self.send("POST", "/consent", {**fields, "decision": "allow", "scope": ["read", "offline_access"]})
        assert "code=" in location, location

    def code(self):
        verifier, challenge = pkce()
        _, location, _ = self.authorize(challenge)
        found = urllib.parse.parse_qs(urllib.parse.urlparse(location).query).get("code")
        return (found[0], verifier) if found else None


def pkce():
    verifier = secrets.token_urlsafe(32)
    return verifier, base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def redeem(server, code, verifier, actor_token):
    return server.token("app", grant_type="authorization_code", code=code, code_verifier=verifier,
                        redirect_uri=REDIRECT, actor_token=actor_token)


def under_load(server, browser, actor_token, seconds, database=None):
    """Works until the server is killed. One history for every code that was sent: what was asked, and what was heard."""
    sent, stop = [], threading.Event()

    def work():
        mine = Browser(server)
        mine.cookies = dict(browser.cookies)
        while not stop.is_set():
            try:
                got = mine.code()
                if got is None:
                    continue
                entry = {"code": got[0], "verifier": got[1], "token": None, "live": [], "unsure": [], "ended": [], "spent": [], "refresh": None}
                sent.append(entry)
                status, answer = redeem(server, *got, actor_token)
                if status != 200:
                    continue
                entry["token"] = answer["access_token"]
                entry["live"].append(answer["access_token"])
                entry["refresh"] = answer.get("refresh_token")
                choice = random.random()
                if choice < 0.3 and entry["refresh"]:
                    old, entry["refresh"] = entry["refresh"], None
                    entry["spent"].append(old)  # asked for: it may have been spent
                    status, answer = server.token("app", grant_type="refresh_token", refresh_token=old, actor_token=actor_token)
                    if status == 200:  # or 503: the database is being killed
                        entry["live"].append(answer["access_token"])
                        entry["refresh"] = answer["refresh_token"]
                elif choice < 0.5:
                    status, answer = server.token("app", grant_type=EXCHANGE, subject_token=entry["token"], subject_token_type=ACCESS_TOKEN,
                                                  resource=RESOURCE)
                    if status == 200:
                        entry["live"].append(answer["access_token"])
                elif choice < 0.7:
                    entry["unsure"], entry["live"] = entry["live"], []
                    status, _ = server.token("app", "/revoke", token=entry["token"])
                    if status == 200:
                        entry["unsure"], entry["ended"] = [], entry["unsure"]
            except (OSError, http.client.HTTPException, ValueError):
                return

    with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
        running = [pool.submit(work) for _ in range(WORKERS)]
        stop.wait(seconds)
        if database is not None:
            database.crash()
        server.end(signal.SIGKILL)
        stop.set()
        for each in running:
            each.result()
    return sent


class Sqlite:
    def __init__(self, folder):
        self.file = folder + "/behalf.db"
        self.setting = 'sqlite = "behalf.db"'

    def rows(self):
        database = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)
        try:
            yield from database.execute("SELECT sequence, record, hash FROM audit ORDER BY sequence")
        finally:
            database.close()

    def head(self):
        database = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)
        try:
            return tuple(database.execute("SELECT sequence, hash FROM head").fetchone())
        finally:
            database.close()

    def end(self):
        pass


class Postgres:
    """A cluster of its own, run as the user postgres if we are root; crash() is its immediate shutdown, and a new start."""
    PROGRAMS = "/usr/lib/postgresql/15/bin/"

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="behalf-pg-", dir="/tmp")
        self.prefix = []
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres", "postgres")
            self.prefix = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        self.setting = f'postgres = "host={self.folder} user=behalf dbname=postgres"'
        self.log = open(self.folder + ".log", "w")
        subprocess.run([*self.prefix, self.PROGRAMS + "initdb", "-D", self.folder + "/data", "-U", "behalf", "-A", "trust", "-N", "-E", "UTF8",
                        "--locale=C.UTF-8"], check=True, stdout=self.log, stderr=self.log, cwd="/")
        self.start()

    def start(self):
        self.process = subprocess.Popen([*self.prefix, self.PROGRAMS + "postgres", "-D", self.folder + "/data", "-k", self.folder, "-c", "listen_addresses=",
                                         "-c", "shared_buffers=64MB", "-c", "recovery_init_sync_method=syncfs"], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, cwd="/", preexec_fn=os.setpgrp)
        for _ in range(600):
            if subprocess.run([self.PROGRAMS + "pg_isready", "-q", "-h", self.folder], check=False).returncode == 0:
                return
            time.sleep(0.05)
        raise SystemExit("PostgreSQL does not start")

    def crash(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)
        self.start()

    def query(self, sql):
        done = subprocess.run([self.PROGRAMS + "psql", "-h", self.folder, "-U", "behalf", "-d", "postgres", "-At", "-F", "\x1f", "-R", "\x1e", "-c", sql],
                              check=True, capture_output=True, text=True)
        return [row.split("\x1f") for row in done.stdout.rstrip("\n").split("\x1e") if row]

    def rows(self):
        for sequence, record, digest in self.query("SELECT sequence, record, hash FROM audit ORDER BY sequence"):
            yield int(sequence), record, digest

    def head(self):
        sequence, digest = self.query("SELECT sequence, hash FROM head")[0]
        return int(sequence), digest

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(30)
        self.log.close()
        os.unlink(self.folder + ".log")
        shutil.rmtree(self.folder, ignore_errors=True)


def check_log(database):
    """The chain, computed again; and how often each code was turned into a token."""
    previous, redeemed, count = bytes(32), {}, 0
    for sequence, record, digest in database.rows():
        count += 1
        previous = hashlib.sha256(previous + record.encode()).digest()
        parsed = json.loads(record)
        assert sequence == parsed["seq"] == count and previous.hex() == digest, f"the log breaks at {sequence}"
        if parsed["event"] == "token.authorization_code" and parsed["outcome"] == "allowed":
            redeemed[parsed["parent"]] = redeemed.get(parsed["parent"], 0) + 1
    assert database.head() == (count, previous.hex()), "the head is not the end of the log"
    assert all(times == 1 for times in redeemed.values()), "a code was redeemed twice"
    return count, len(redeemed)


def check_history(server, sent, actor_token):
    """What the clients saw against what the server knows now. Counts of what was acknowledged, unanswered, and committed all the same."""
    acknowledged = unanswered = lost_answers = 0
    for entry in sent:
        for token in entry["live"]:
            _, answer = server.token("planner", "/introspect", token=token)
            assert answer.get("active") is True, f"an acknowledged token is gone: {answer}"
            acknowledged += 1
        for token in entry["ended"]:
            _, answer = server.token("planner", "/introspect", token=token)
            assert answer == {"active": False}, f"an acknowledged end was forgotten: {answer}"
            acknowledged += 1
        for old in entry["spent"]:
            # An honest retry may get the one successor there is; it never gets another.
            successors = set()
            for _ in range(2):
                status, answer = server.token("app", grant_type="refresh_token", refresh_token=old, actor_token=actor_token)
                if status == 200:
                    successors.add(answer["refresh_token"])
            if entry["refresh"]:
                assert successors <= {entry["refresh"]}, "a spent refresh token bought another"
            assert len(successors) <= 1, "a refresh token bought twice"
    for entry in sent:
        if entry["token"] is None:
            unanswered += 1
            # Its first redemption may have been lost with the server: then this is the first one.
            first, _ = redeem(server, entry["code"], entry["verifier"], actor_token)
            lost_answers += first != 200
        status, answer = redeem(server, entry["code"], entry["verifier"], actor_token)
        assert status == 400 and answer["error"] == "invalid_grant", f"a code was good twice: {status} {answer}"
    return acknowledged, unanswered, lost_answers


def main():
    program = os.path.abspath(sys.argv[1])
    words = [word for word in sys.argv[2:] if not word.startswith("--")]
    rounds = int(words[0]) if words else 10
    folder = tempfile.mkdtemp(prefix="behalf-crash-")
    server = Server(program, folder)
    database = Postgres() if "--postgres" in sys.argv else Sqlite(folder)
    try:
        for name, text in {"u1.pw": PASSWORD, **{c + ".secret": s for c, s in CLIENT_SECRETS.items()},
                           "state.toml": STATE}.items():
            with open(os.open(f"{folder}/{name}", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
                file.write(text)
        subprocess.run([program, "init", folder, "--issuer", ISSUER], check=True, stdout=subprocess.DEVNULL)
        with open(folder + "/behalf.toml", "w") as file:
            file.write(f'issuer = "{ISSUER}"\nkeys = "behalf.keys"\n[listen]\naddress = "127.0.0.1"\nport = 0\n'
                       f'[admin]\nsocket = "behalf.sock"\n[store]\n{database.setting}\n[limits]\nfailures = 0\n')
        server.start()
        subprocess.run([program, "apply", folder + "/state.toml", "--config", folder + "/behalf.toml"],
                       check=True, stdout=subprocess.DEVNULL)
        browser = Browser(server)
        browser.sign_in_and_allow()
        acknowledged = unanswered = lost_answers = records = redeemed = 0
        for number in range(rounds):
            _, actor = server.token("runtime", grant_type="client_credentials", resource=ISSUER)
            seconds = random.uniform(0.05, 0.25) if rounds > 10 else random.uniform(0.15, 0.6)
            crash_both = isinstance(database, Postgres) and number % 10 == 9
            sent = under_load(server, browser, actor["access_token"], seconds, database if crash_both else None)
            server.start()
            counts = check_history(server, sent, actor["access_token"])
            acknowledged, unanswered, lost_answers = acknowledged + counts[0], unanswered + counts[1], lost_answers + counts[2]
            if number % 20 == 19 or rounds <= 10:
                records, redeemed = check_log(database)
                print(f"round {number + 1}: {acknowledged} acknowledged, {unanswered} unanswered, {redeemed} redeemed, "
                      f"{records} records verify", flush=True)
        records, redeemed = check_log(database)
        print(f"{rounds} rounds: {acknowledged} acknowledged, {unanswered} without an answer "
              f"({lost_answers} of them had been committed), {records} records")
        assert acknowledged > 2 * rounds, "too little happened for this to say anything"
        server.end(signal.SIGTERM)
    finally:
        server.end(signal.SIGKILL)
        database.end()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
