// The command line of the one binary.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>

#include "app/commands.h"
#include "app/lineage_view.h"
#include "app/policy_commands.h"
#include "base/bytes.h"

using namespace behalf::app;

namespace {

// What is wrong with the words up to the first option: a command that is none, or none at all. Asked before
// anything else, so that --help behind a word that means nothing is not answered with something else's help.
std::string find_wrong_command(const CLI::App& program, int argc, char** argv) {
  const CLI::App* at = &program;
  for (int i = 1;; ++i) {
    std::string known;
    const CLI::App* next = nullptr;
    const std::string word = i < argc ? argv[i] : "";
    for (const CLI::App* command : at->get_subcommands(nullptr)) {
      if (command->get_name().empty()) continue;  // a group of options
      known += (known.empty() ? "" : ", ") + command->get_name();
      if (command->get_name() == word) next = command;
    }
    if (known.empty() || word.starts_with('-')) return {};
    const std::string place = at == &program ? "" : " of " + at->get_name();
    if (i >= argc) {
      return at->get_require_subcommand_min() == 0 ? std::string()
                                                   : "a command" + place + " is needed; known are " + known;
    }
    if (next == nullptr)
      return "unknown command \"" + behalf::one_line(word) + "\"" + place + "; known are " + known;
    at = next;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App program{
      "behalf: an OAuth 2.0 authorization server for agents that act for people.\n"
      "A person consents to a named agent; every token says who acts for whom; revoking anything upstream "
      "stops everything downstream.",
      "behalf"};
  program.require_subcommand(1);
  program.set_version_flag("--version", std::string("behalf " BEHALF_VERSION));
  program.footer(
      "Exit codes: 0 done, 1 refused or did not hold, 2 wrong use or configuration, 3 server or store not "
      "reachable.");
  int exit_code = kOk;

  std::string config = "behalf.toml";
  const auto add_config = [&](CLI::App* command) {
    command->add_option("-c,--config", config, "configuration file")->capture_default_str();
  };
  bool as_json = false;
  const auto add_json = [&](CLI::App* command) {
    command->add_flag("--json", as_json, "answer in JSON, for scripts");
  };

  auto* serve_command = program.add_subcommand("serve", "run the server");
  add_config(serve_command);
  serve_command->callback([&] { exit_code = serve(config); });

  std::string guard_config = "guard.toml";
  auto* guard_command =
      program.add_subcommand("guard", "decide beside an API, or stand in front of it as its proxy");
  guard_command->add_option("-c,--config", guard_config, "configuration file")->capture_default_str();
  guard_command->require_subcommand(0, 1);
  guard_command->callback([&] {
    if (guard_command->get_subcommands().empty()) exit_code = guard(guard_config);
  });

  std::string policy;
  auto* policy_check = guard_command->add_subcommand(
      "check", "check a policy: faults, rules that can never decide, conditions that cannot hold");
  add_json(policy_check);
  policy_check->add_option("policy", policy, "policy file")->required();
  policy_check->callback([&] { exit_code = check_policy(policy, as_json); });

  PolicyTestOptions test_options;
  auto* policy_test = guard_command->add_subcommand("test", "run table tests against a policy");
  add_json(policy_test);
  policy_test->add_option("cases", test_options.cases_path, "file with the cases (TOML)")->required();
  policy_test->add_option("--policy", test_options.policy_path,
                          "policy file, instead of the one the cases name");
  policy_test->callback([&] {
    test_options.as_json = as_json;
    exit_code = test_policy(test_options);
  });

  ExplainOptions explain_options;
  auto* policy_explain =
      guard_command->add_subcommand("explain", "say which rule decides about a token and a request, and why");
  add_json(policy_explain);
  policy_explain->add_option("--policy", explain_options.policy_path, "policy file")->required();
  policy_explain->add_option("--token", explain_options.token,
                             "access token, or - for standard input; without it: no token");
  policy_explain->add_option("--jwks", explain_options.jwks_path,
                             "the issuer's key set, to verify the token; without it the token is believed");
  policy_explain->add_option("--method", explain_options.method, "HTTP method")->capture_default_str();
  policy_explain->add_option("--path", explain_options.path, "path, as it would be sent")->required();
  policy_explain->add_option("--host", explain_options.host, "the API's host, where rules name hosts");
  policy_explain->add_option("--body", explain_options.body_path, "file with the JSON-RPC body");
  policy_explain->add_option("--content-type", explain_options.content_type, "of the body")
      ->capture_default_str();
  policy_explain->add_option("--agents", explain_options.agents_path,
                             "what GET /directory answers; without it agents are not known");
  policy_explain->add_option("--at", explain_options.at, "time, such as 2026-11-25T12:00:00Z (default: now)");
  policy_explain->callback([&] {
    explain_options.as_json = as_json;
    exit_code = explain_policy(explain_options);
  });

  std::string state;
  auto* check_command = program.add_subcommand(
      "check", "check configuration, keys and (if given) a state file, without a server");
  add_config(check_command);
  add_json(check_command);
  check_command->add_option("state", state, "state file to check");
  check_command->callback([&] { exit_code = check(config, state, as_json); });

  InitOptions init_options;
  auto* init_command = program.add_subcommand("init", "make a configuration file and fresh keys");
  init_command->add_option("folder", init_options.folder, "where to put them")->capture_default_str();
  init_command->add_option("--issuer", init_options.issuer,
                           "the public address, such as https://auth.example.com");
  init_command->add_option("--port", init_options.port, "port to listen on")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535));
  init_command->callback([&] { exit_code = init(init_options); });

  ApplyOptions apply_options;
  auto* apply_command =
      program.add_subcommand("apply", "make users, agents, clients and resources what a state file says");
  add_config(apply_command);
  add_json(apply_command);
  apply_command->add_option("state", apply_options.state_path, "state file (TOML)")->required();
  apply_command->add_flag("--dry-run", apply_options.dry_run, "show the difference, change nothing");
  apply_command->add_flag("--prune", apply_options.prune, "also delete what the file does not name");
  apply_command->callback([&] {
    apply_options.config_path = config;
    apply_options.as_json = as_json;
    exit_code = apply(apply_options);
  });

  auto* token = program.add_subcommand("token", "look at tokens");
  token->require_subcommand(1);
  std::string token_text;
  std::string inspect_config;
  auto* inspect =
      token->add_subcommand("inspect", "decode an access token: person, client, and the chain of agents");
  inspect
      ->add_option("token", token_text,
                   "the token, or - to read it from standard input (keeps it out of the process list)")
      ->required();
  inspect->add_option(
      "-c,--config", inspect_config,
      "also check the signature, and ask the server whether it still stands; then 0 means that it does");
  add_json(inspect);
  inspect->callback([&] { exit_code = inspect_token(token_text, inspect_config, as_json); });

  auto* grant = program.add_subcommand("grant", "what people have allowed");
  grant->require_subcommand(1);
  GrantQuery grant_query;
  auto* grant_list = grant->add_subcommand("list", "list grants");
  add_config(grant_list);
  add_json(grant_list);
  grant_list->add_option("--user", grant_query.user, "only this person's");
  grant_list->add_option("--client", grant_query.client, "only through this client");
  grant_list->add_option("--agent", grant_query.agent, "only to this agent");
  grant_list->add_flag("--live", grant_query.live_only, "leave out what has ended");
  grant_list->callback([&] {
    grant_query.config_path = config;
    grant_query.as_json = as_json;
    exit_code = list_grants(grant_query);
  });
  std::string id;
  auto* grant_revoke = grant->add_subcommand("revoke", "end a grant and everything that descends from it");
  add_config(grant_revoke);
  add_json(grant_revoke);
  grant_revoke->add_option("id", id, "id of the grant")->required();
  grant_revoke->callback([&] { exit_code = revoke_grant(config, id, as_json); });

  for (const char* kind : {"agent", "client", "user"}) {
    auto* group = program.add_subcommand(kind, std::string("stop and start ") + kind + "s");
    group->require_subcommand(1);
    for (const char* verb : {"suspend", "resume"}) {
      const bool is_stop = std::string(verb) == "suspend";
      auto* command =
          group->add_subcommand(verb, is_stop ? "stop it at once; everything it is part of ends for good"
                                              : "let it start again; what ended stays ended");
      add_config(command);
      add_json(command);
      command->add_option("id", id, std::string("id of the ") + kind)->required();
      command->callback([&, kind, verb] { exit_code = set_status(config, kind, verb, id, as_json); });
    }
  }

  auto* audit = program.add_subcommand("audit", "the log of every decision");
  audit->require_subcommand(1);
  AuditQuery audit_query;
  auto* tail = audit->add_subcommand("tail", "show the newest records");
  add_config(tail);
  add_json(tail);
  tail->add_option("-n,--lines", audit_query.lines, "how many")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  tail->add_flag("-f,--follow", audit_query.follow, "keep showing new ones");
  tail->add_option("--grant", audit_query.grant, "only of this grant");
  tail->add_option("--user", audit_query.user, "only about this person");
  tail->add_option("--agent", audit_query.agent, "only with this agent, anywhere in the chain");
  tail->add_option("--client", audit_query.client, "only with this client");
  tail->add_option("--event", audit_query.event, "only events that begin with this");
  tail->callback([&] {
    audit_query.config_path = config;
    audit_query.as_json = as_json;
    exit_code = tail_audit(audit_query);
  });

  LineageQuery lineage_query;
  auto* lineage = audit->add_subcommand("lineage",
                                        "what came of a consent, a token, a person's consents or an agent: "
                                        "from the decision to the last use");
  add_config(lineage);
  add_json(lineage);
  auto* question = lineage->add_option_group("of what");
  question->add_option("--grant", lineage_query.grant, "one consent");
  question->add_option("--token", lineage_query.token,
                       "one code or token by its id (jti), what is above and below it");
  question->add_option("--user", lineage_query.user, "everything this person allowed");
  question->add_option("--agent", lineage_query.agent, "everything this agent acted in");
  question->require_option(1);
  lineage->callback([&] {
    lineage_query.config_path = config;
    lineage_query.as_json = as_json;
    exit_code = show_lineage(lineage_query);
  });

  DemoOptions demo_options;
  auto* demo_command =
      program.add_subcommand("demo", "play the whole story against a real server, then keep it running");
  demo_command->add_flag("--once", demo_options.once, "end after the story; non-zero if a step did not hold");
  demo_command->add_option("--folder", demo_options.folder,
                           "keep its files here (default: a temporary folder)");
  demo_command->callback([&] { exit_code = demo(demo_options); });

  if (const std::string complaint = find_wrong_command(program, argc, argv); !complaint.empty()) {
    std::fprintf(stderr, "behalf: %s\n(--help says more)\n", complaint.c_str());
    return kWrongUse;
  }
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& fault) {
    const int code = program.exit(fault);
    return code == 0 ? kOk : kWrongUse;
  } catch (const std::exception& fault) {  // what no command expected; never an abort
    std::fprintf(stderr, "behalf: %s\n", fault.what());
    return kRefused;
  }
  return exit_code;
}
