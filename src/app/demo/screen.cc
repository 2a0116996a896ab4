#include "app/demo/screen.h"

#include <algorithm>
#include <cstdio>

#include "app/terminal.h"

namespace behalf::app {
namespace {

constexpr size_t kShownOfCredential = 12;
constexpr std::string_view kCredentials[] = {"actor_token",   "assertion",     "client_assertion",
                                             "code",          "code_verifier", "csrf",
                                             "refresh_token", "subject_token", "token"};

std::string shown(const std::string& name, const std::string& value) {
  if (name == "password" || name == "client_secret") return "(not shown)";
  if (std::find(std::begin(kCredentials), std::end(kCredentials), name) != std::end(kCredentials))
    return abbreviated(value);
  return printable(value);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  for (const char c : text)
    result.push_back((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7F ? '?' : c);
  return result;
}

std::string abbreviated(std::string_view credential) {
  if (credential.size() <= kShownOfCredential) return "…";
  std::string text = printable(credential.substr(0, kShownOfCredential)) + "…";
  const bool is_jwt =
      std::count(credential.begin(), credential.end(), '.') == 2 && credential.starts_with("eyJ");
  return text + " (" + (is_jwt ? "JWT, " : "") + std::to_string(credential.size()) + " characters)";
}

Screen::Screen() : has_colours_(shows_colours()) {}

std::string Screen::paint(std::string_view code, std::string_view text) const {
  if (!has_colours_) return std::string(text);
  return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
}

void Screen::line(std::string_view text) {
  std::printf("%.*s\n", static_cast<int>(text.size()), text.data());
  std::fflush(stdout);
}

void Screen::step(std::string_view title) {
  line();
  line(strong("━━ " + std::to_string(++step_) + ". " + std::string(title)));
}

void Screen::say(std::string_view text) { line("   " + std::string(text)); }
void Screen::aside(std::string_view text) { line("   " + dim(text)); }

void Screen::sent(std::string_view who, std::string_view method, std::string_view url,
                  const Parameters& parameters) {
  line("   " + std::string(who) + " " + accent("→ " + std::string(method)) + " " + printable(url));
  size_t width = 0;
  for (const auto& [name, value] : parameters) width = std::max(width, name.size());
  for (const auto& [name, value] : parameters) {
    line("       " + dim(name + std::string(width - name.size(), ' ')) + "  " + shown(name, value));
  }
}

void Screen::came_back(int status, std::string_view summary) {
  const std::string code = std::to_string(status);
  line("   " + (status < 400 ? good("← " + code) : accent("← " + code)) +
       (summary.empty() ? "" : " " + printable(summary)));
}

void Screen::claims(std::string_view title, const json::Value& value) {
  line("     " + std::string(title));
  const std::string text = printable(json::write_pretty(value));
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    line("       " + dim(std::string_view(text).substr(start, end - start)));
    start = end + 1;
  }
}

bool Screen::check(bool held, std::string_view what) {
  ++checks_;
  line("   " + (held ? good("✔") : bad("✘")) + " " + std::string(what));
  if (!held) failures_.push_back("step " + std::to_string(step_) + ": " + std::string(what));
  return held;
}

}  // namespace behalf::app
