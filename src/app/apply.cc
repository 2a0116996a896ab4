// `behalf apply`: sends the state file to the server, keeps the secrets it makes, says what changed.
#include <cstdio>
#include <system_error>

#include "app/admin_client.h"
#include "app/commands.h"
#include "app/config.h"
#include "app/state_file.h"
#include "app/terminal.h"
#include "base/bytes.h"
#include "http/sockets.h"

namespace behalf::app {
namespace {

// What the server answered, and what became of it here.
struct Applied {
  json::Value answer;  // without the secrets that are in their files now
  std::vector<std::string> notes;
  std::vector<std::string> problems;
};

bool has_new_secret(const json::Value& answer, const std::string& client) {
  for (const json::Value& change : json::list_of(answer, "changes")) {
    if (json::text_of(change, "kind") != "client" || json::text_of(change, "id") != client) continue;
    if (json::text_of(change, "action") == "create") return true;
    for (const json::Value& member : json::list_of(change, "members")) {
      if (member == json::Value("secret")) return true;
    }
  }
  return false;
}

// The server has committed: whatever fails from here on, no secret may be lost.
void keep_secrets(const StateFile& file, Applied& applied) {
  const json::Value* secrets = applied.answer.find("secrets");
  json::Value left = secrets == nullptr ? json::Value(json::Value::Object{}) : *secrets;
  for (const StateFile::SecretFile& target : file.secret_files) {
    if (const std::string* secret = left.find_string(target.client)) {
      try {
        write_private_file(target.path, *secret + "\n");
        left.remove(target.client);
      } catch (const std::system_error& fault) {
        applied.problems.push_back("client \"" + target.client +
                                   "\": its new secret could not be written to " + target.path + " (" +
                                   fault.what() + "); it is shown here this once: put it there");
      }
    } else if (!target.is_there && !has_new_secret(applied.answer, target.client)) {
      applied.notes.push_back(
          "client \"" + target.client + "\": " + target.path +
          " is missing or empty, and the server, which has only a hash of the secret, "
          "cannot write it again; to give the client another one: openssl rand -hex 32 > " +
          target.path + ", then apply (the old one works for a day beside it)");
    }
  }
  applied.answer.set("secrets", std::move(left));
}

void note_ended(const json::Value& answer, bool dry_run, std::vector<std::string>& notes) {
  for (const json::Value& change : json::list_of(answer, "changes")) {
    if (json::text_of(change, "kind") != "user" || json::text_of(change, "action") != "update") continue;
    for (const json::Value& member : json::list_of(change, "members")) {
      if (member != json::Value("password")) continue;
      const auto count = change.find_integer("grants_ended");
      const std::string consents = count ? ": " + counted(*count, "grant") : std::string();
      notes.push_back("user \"" + json::text_of(change, "id") + "\": the new password " +
                      (dry_run ? "would sign the person out everywhere and end their consents"
                               : "signed the person out everywhere and ended their consents") +
                      consents);
    }
  }
}

void print_change(const json::Value& change) {
  const std::string action = json::text_of(change, "action");
  std::string members;
  for (const json::Value& member : json::list_of(change, "members"))
    members += (members.empty() ? " (" : ", ") + *member.string();
  if (!members.empty()) members += ")";
  std::printf("%s %-8s %s%s\n",
              action == "create"   ? "+"
              : action == "delete" ? "-"
                                   : "~",
              json::text_of(change, "kind").c_str(), one_line(json::text_of(change, "id")).c_str(),
              members.c_str());
}

void print(const Applied& applied, bool dry_run) {
  const auto& changes = json::list_of(applied.answer, "changes");
  for (const json::Value& change : changes) print_change(change);
  if (const json::Value* made = applied.answer.find("secrets");
      made != nullptr && made->object() != nullptr) {
    for (const json::Member& secret : *made->object()) {
      std::printf("secret of client %s, shown this once: %s\n", secret.name.c_str(),
                  secret.value.string()->c_str());
    }
  }
  if (changes.empty())
    std::printf("nothing to change\n");
  else if (dry_run)
    std::printf("this was a dry run: nothing was changed\n");
  std::fflush(stdout);
  for (const std::string& note : applied.notes) std::fprintf(stderr, "note: %s\n", one_line(note).c_str());
  for (const std::string& problem : applied.problems) std::fprintf(stderr, "%s\n", one_line(problem).c_str());
}

}  // namespace

int apply(const ApplyOptions& options) {
  http::ignore_write_signals();  // a secret that cannot be written is to be shown, not lost with the process
  auto read = read_state(options.state_path);
  if (!read) return complain(options.as_json, kWrongUse, {read.reason()});
  StateFile& file = read->file;
  file.state.set("dry_run", options.dry_run);
  file.state.set("prune", options.prune);
  AdminAnswer answer = try_server(options.config_path, "POST", "/apply", json::write(file.state));
  if (answer.exit_code != kOk) {
    // The file is at fault, as it would be for `check`, which only cannot know what the server has.
    return complain(options.as_json, answer.is_malformed ? kWrongUse : answer.exit_code,
                    {answer.is_malformed ? options.state_path + ": " + answer.problem : answer.problem});
  }
  Applied applied{std::move(answer.value), {}, {}};
  keep_secrets(file, applied);
  note_ended(applied.answer, options.dry_run, applied.notes);
  if (options.as_json) {
    applied.answer.set("ok", applied.problems.empty());
    applied.answer.set("dry_run", options.dry_run);
    applied.answer.set("notes", json_list(applied.notes));
    applied.answer.set("problems", json_list(applied.problems));
    print_json(applied.answer);
  } else {
    print(applied, options.dry_run);
  }
  return applied.problems.empty() ? kOk : kRefused;
}

}  // namespace behalf::app
