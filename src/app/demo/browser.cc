#include "app/demo/browser.h"

#include "http/client.h"

namespace behalf::app {
namespace {

constexpr int kMostRedirects = 8;
constexpr std::pair<std::string_view, std::string_view> kEntities[] = {
    {"&lt;", "<"}, {"&gt;", ">"}, {"&quot;", "\""}, {"&#39;", "'"}, {"&amp;", "&"}};

std::string unescape(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    bool is_entity = false;
    for (const auto& [entity, character] : kEntities) {
      if (!text.substr(i).starts_with(entity)) continue;
      result += character;
      i += entity.size();
      is_entity = true;
      break;
    }
    if (!is_entity) result.push_back(text[i++]);
  }
  return result;
}

std::string attribute(std::string_view tag, std::string_view name) {
  const std::string start = " " + std::string(name) + "=\"";
  const size_t at = tag.find(start);
  if (at == std::string_view::npos) return {};
  const size_t begin = at + start.size();
  return unescape(tag.substr(begin, tag.find('"', begin) - begin));
}

HtmlForm read_form(std::string_view html) {
  HtmlForm form;
  form.action = attribute(html.substr(0, html.find('>')), "action");
  for (size_t at = html.find("<input"); at != std::string_view::npos; at = html.find("<input", at + 1)) {
    const std::string_view tag = html.substr(at, html.find('>', at) - at);
    const std::string type = attribute(tag, "type");
    const bool is_ticked = tag.find(" checked") != std::string_view::npos;
    if (type == "checkbox" && !is_ticked) continue;
    form.fields.emplace_back(attribute(tag, "name"), attribute(tag, "value"));
  }
  return form;
}

}  // namespace

std::string HtmlForm::get(std::string_view name) const {
  for (const auto& [field, value] : fields) {
    if (field == name) return value;
  }
  return {};
}

void HtmlForm::set(std::string_view name, std::string_view value) {
  for (auto& [field, current] : fields) {
    if (field != name) continue;
    current = value;
    return;
  }
  fields.emplace_back(name, value);
}

std::optional<HtmlForm> find_form(std::string_view html, std::string_view action, std::string_view field,
                                  std::string_view value) {
  for (size_t at = html.find("<form"); at != std::string_view::npos; at = html.find("<form", at + 1)) {
    HtmlForm form = read_form(html.substr(at, html.find("</form>", at) - at));
    if (form.action == action && (field.empty() || form.get(field) == value)) return form;
  }
  return std::nullopt;
}

std::vector<std::string> readable_lines(std::string_view html, std::string_view from,
                                        std::string_view until) {
  const size_t begin = html.find(from);
  if (begin == std::string_view::npos) return {};
  const std::string_view part = html.substr(begin, html.find(until, begin) - begin);
  std::vector<std::string> lines;
  std::string text;
  const auto flush = [&] {
    while (!text.empty() && text.back() == ' ') text.pop_back();
    if (!text.empty()) lines.push_back(unescape(text));
    text.clear();
  };
  for (size_t i = 0; i < part.size(); ++i) {
    if (part[i] == '<') {
      const size_t end = part.find('>', i);
      const std::string_view tag = part.substr(i, end == std::string_view::npos ? end : end - i);
      if (tag == "</dt") text += ": ";
      for (const std::string_view block : {"</p", "</h1", "</h2", "</dd", "</li", "</label"}) {
        if (tag == block) flush();
      }
      if (end == std::string_view::npos) break;
      i = end;
    } else if (static_cast<unsigned char>(part[i]) > ' ') {
      text.push_back(part[i]);
    } else if (!text.empty() && text.back() != ' ') {
      text.push_back(' ');
    }
  }
  flush();
  return lines;
}

std::string escape_html(std::string_view text) {
  std::string result;
  for (const char c : text) {
    bool replaced = false;
    for (const auto& [entity, character] : kEntities) {
      if (character.front() != c) continue;
      result += entity;
      replaced = true;
    }
    if (!replaced) result.push_back(c);
  }
  return result;
}

std::string Browser::http_form(const HtmlForm& form) { return http::write_form(form.fields); }

Browser::Page Browser::go(std::string method, std::string url, std::string body) {
  Page page;
  for (int redirects = 0; redirects < kMostRedirects; ++redirects) {
    if (url.starts_with('/')) url.insert(0, origin_);
    if (!url.starts_with(origin_ + "/")) {
      page.left_for = url;
      return page;
    }
    page.url = url;
    http::ClientRequest request;
    request.method = method;
    request.body = body;
    if (method == "POST") {
      request.headers.set("Content-Type", "application/x-www-form-urlencoded");
      request.headers.set("Origin", origin_);
    }
    std::string jar;
    for (const auto& [name, value] : cookies_) jar += (jar.empty() ? "" : "; ") + name + "=" + value;
    if (!jar.empty()) request.headers.set("Cookie", jar);
    const http::Response response = http::fetch(url, request);
    for (const http::Header& header : response.headers.list()) {
      if (header.name != "Set-Cookie" && header.name != "set-cookie") continue;
      const std::string pair = header.value.substr(0, header.value.find(';'));
      const size_t equals = pair.find('=');
      if (equals != std::string::npos) cookies_[pair.substr(0, equals)] = pair.substr(equals + 1);
    }
    page.status = response.status;
    page.html = response.body;
    const std::string* location = response.headers.find("Location");
    if (location == nullptr) return page;
    url = *location;
    method = "GET";
    body.clear();
  }
  return page;
}

}  // namespace behalf::app
