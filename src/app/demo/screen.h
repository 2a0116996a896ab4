// What the demo shows: numbered steps, what was sent, what came back, and whether it held.
//
// Colours only on a terminal and where NO_COLOR is unset (no-color.org). Credentials are never written out:
// tokens, codes and proofs are cut to their first characters, passwords and client secrets do not appear at
// all.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace behalf::app {

using Parameters = std::vector<std::pair<std::string, std::string>>;

// "eyJhbGciOiJF… (JWT, 712 characters)": enough to recognise, too little to use.
std::string abbreviated(std::string_view credential);
// Never lets what came from elsewhere move the cursor.
std::string printable(std::string_view text);

class Screen {
 public:
  Screen();

  void step(std::string_view title);
  void say(std::string_view text);    // one line of the story
  void aside(std::string_view text);  // a dim line
  void sent(std::string_view who, std::string_view method, std::string_view url,
            const Parameters& parameters);
  void came_back(int status, std::string_view summary);
  void claims(std::string_view title, const json::Value& value);
  // A check mark or a cross. Returns `held`.
  bool check(bool held, std::string_view what);
  void line(std::string_view text = {});

  std::string strong(std::string_view text) const { return paint("1", text); }
  std::string dim(std::string_view text) const { return paint("2", text); }
  std::string good(std::string_view text) const { return paint("32", text); }
  std::string bad(std::string_view text) const { return paint("31;1", text); }
  std::string accent(std::string_view text) const { return paint("36", text); }

  // What did not hold, as "step 3: ...".
  const std::vector<std::string>& failures() const { return failures_; }
  int checks() const { return checks_; }
  int steps() const { return step_; }

 private:
  std::string paint(std::string_view code, std::string_view text) const;

  bool has_colours_ = false;
  int step_ = 0;
  int checks_ = 0;
  std::vector<std::string> failures_;
};

}  // namespace behalf::app
