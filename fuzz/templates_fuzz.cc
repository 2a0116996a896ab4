// Pages: text from anywhere, in every field, never becomes markup.
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/embedded.h"
#include "console/templates.h"

namespace {

using namespace behalf::console;

const Templates& templates() {
  static const Templates made(behalf::embedded_web(), {.style_url = "/style.css", .icon_url = "/icon.svg"});
  return made;
}

// What makes markup: every one of `page` is one that the same page has without the text.
std::array<size_t, 4> markup(const std::string& page) {
  std::array<size_t, 4> counts{};
  for (const char c : page) {
    const size_t kind = std::string_view("<>\"'").find(c);
    if (kind != std::string_view::npos) ++counts[kind];
  }
  return counts;
}

template <class Make>
void same_markup(const std::string& text, Make make) {
  const std::string page = templates().render(make(text));
  if (markup(page) != markup(templates().render(make(std::string("x"))))) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* bytes, size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  if (text.empty() || !behalf::is_utf8(text)) return 0;
  same_markup(text, [](const std::string& t) {
    LoginPage page;
    page.action = "/login";
    page.csrf = page.request = page.username = page.error = page.client_name = page.agent_name =
        page.agent_publisher = t;
    return page;
  });
  same_markup(text, [](const std::string& t) {
    ConsentPage page;
    page.action = "/consent";
    page.switch_account_action = "/switch-account";
    page.csrf = page.request = page.purpose = t;
    page.person = {t, t};
    page.agent.emplace();
    page.agent->name = page.agent->id = page.agent->publisher = page.agent->owner = page.agent->description =
        t;
    page.client.name = page.client.id = page.client.host = t;
    page.resources.resize(2);
    for (auto& resource : page.resources) resource.name = resource.identifier = t;
    page.permissions.push_back({t, t, t, true, false});
    page.onward = {.further_steps = 2, .agents = {t, t}};
    return page;
  });
  same_markup(text, [](const std::string& t) { return ErrorPage{t, t, t, t}; });
  same_markup(text, [](const std::string& t) { return NoticePage{t, t, Link{t, "/agents"}}; });
  same_markup(text, [](const std::string& t) {
    return FormPostPage{.action = "https://app.example/cb",
                        .client_name = t,
                        .host = t,
                        .fields = {{"state", t}, {"code", t}}};
  });
  return 0;
}
