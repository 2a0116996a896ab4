// The story, step by step: each method sends real requests, shows them, and checks what must hold.
//
//   challenge ─> consent ─> (attack) ─> redeem ─> call ─> refresh ─> exchange ─> (attacks) ─> policy ─>
//   on behalf of ─> revoke ─> audit ─> lineage
//
// A check that fails is noted and the story goes on; only where nothing is left to go on with does it end
// (StoryEnds).
#pragma once

#include <functional>
#include <stdexcept>
#include <string>

#include "app/demo/api.h"
#include "app/demo/browser.h"
#include "app/demo/screen.h"
#include "app/demo/wire.h"
#include "app/demo/world.h"

namespace behalf::app {

inline constexpr const char* kScopes = "calendar.read calendar.write mail.read offline_access";

struct StoryEnds : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Story {
 public:
  Story(const World& world, const DemoApi& api, Screen& screen)
      : world_(world), api_(api), screen_(screen), wire_(world, screen), browser_(world.issuer()) {}
  // Plays all of it; `is_stopped` is asked between steps.
  void play(const std::function<bool()>& is_stopped);

 private:
  void challenge();
  void consent();
  void steal_code();
  void redeem();
  void call_api();
  void refresh();
  void exchange();
  void attack_exchange();
  void hold_to_policy();
  void on_behalf_of();
  void revoke();
  void audit();
  void lineage();

  struct Code {
    std::string code;
    std::string verifier;
  };
  // Sends the person to /authorize; comes back with a code, with a new decision or from the stored one.
  Code authorize(bool expect_consent);
  // What the callback received, if it is an answer to `state` by our server.
  std::string code_from(const std::string& location, const std::string& state);
  Reply redeem_with(const Code& code, const std::string& proof);
  // The granted token, shown; ends the story if there is none.
  std::string take_token(const Reply& reply, std::string_view what);
  bool is_refused(const Reply& reply, int status, std::string_view error, std::string_view what);
  bool is_active(const std::string& who, const std::string& token, std::string_view name);
  // Milliseconds until `url` refuses the token; negative: it did not within three seconds.
  static int64_t wait_until_refused(const std::string& url, const std::string& token);
  Parameters exchange_request(const std::string& subject, const std::string& proof,
                              const std::string& scope) const;

  const World& world_;
  const DemoApi& api_;
  Screen& screen_;
  Wire wire_;
  Browser browser_;
  Code code_;
  std::string authorization_endpoint_;
  std::string access_token_;  // the Calendar Agent's, at the Planner API
  std::string refresh_token_;
  std::string search_token_;  // the Search Agent's, below it
  std::string spent_proof_;   // an assertion that was used once
  std::string mail_token_;    // the Planner API's, at the Mail API
  std::string grant_;
};

// Fetches the whole log page by page, recomputes the chain of hashes, and prints the records of one grant.
void show_audit(const World& world, Screen& screen, const std::string& grant);
// The tree of everything that came from one grant, and what was done with it.
void show_lineage(const World& world, Screen& screen, const std::string& grant);

}  // namespace behalf::app
