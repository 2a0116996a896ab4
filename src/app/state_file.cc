#include "app/state_file.h"

#include <toml++/toml.h>

#include <filesystem>
#include <system_error>

#include "app/config.h"
#include "base/bytes.h"

namespace behalf::app {
namespace {

struct Complaint {
  std::string text;
};

class Converter {
 public:
  explicit Converter(std::string path) : path_(std::move(path)) {}

  json::Value value_of(const toml::node& node) const {
    if (const auto text = node.value_exact<std::string>()) return *text;
    if (const auto number = node.value_exact<int64_t>()) return *number;
    if (const auto flag = node.value_exact<bool>()) return *flag;
    if (const toml::array* array = node.as_array()) {
      json::Value::Array list;
      for (const toml::node& item : *array) list.push_back(value_of(item));
      return list;
    }
    if (const toml::table* table = node.as_table()) {
      json::Value::Object members;
      for (const auto& [key, inner] : *table) members.push_back({std::string(key.str()), value_of(inner)});
      return members;
    }
    throw complain(node, "a value of this type has no meaning here");
  }

  Complaint complain(const toml::node& node, const std::string& what) const {
    return {path_ + ":" + std::to_string(node.source().begin.line) + ": " + what};
  }

  std::string beside(const std::string& name) const {
    if (name.starts_with('/')) return name;
    return (std::filesystem::path(path_).parent_path() / name).string();
  }

 private:
  std::string path_;
};

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

// Where the text of a "*_file" member comes from, and what is to be said about it.
class FileMembers {
 public:
  FileMembers(const Converter& converter, const toml::node& node, json::Value& item)
      : converter_(converter), node_(node), item_(item) {}

  // The path that the member names, which goes; empty if there is no such member.
  std::string take(std::string_view name, std::string_view beside) {
    const std::string* text = item_.find_string(name);
    if (text == nullptr) return {};
    if (text->empty()) complain(std::string(name) + " must name a file");
    if (item_.find(beside) != nullptr)
      complain("either " + std::string(beside) + " or " + std::string(name) + ", not both");
    std::string path = converter_.beside(*text);
    item_.remove(name);
    return path;
  }
  [[noreturn]] void complain(const std::string& what) const { throw converter_.complain(node_, what); }
  std::string read(std::string_view name, const std::string& path) const {
    auto text = read_text(path);
    if (!text) complain(std::string(name) + " " + text.reason());
    return std::move(*text);
  }

 private:
  const Converter& converter_;
  const toml::node& node_;
  json::Value& item_;
};

// "*_file" members are replaced by what is in the file.
void follow_files(const Converter& converter, const toml::node& node, json::Value& item, StateFile& result) {
  FileMembers members(converter, node, item);
  if (const std::string path = members.take("password_file", "password"); !path.empty())
    item.set("password", trimmed(members.read("password_file", path)));
  if (const std::string path = members.take("jwks_file", "jwks"); !path.empty()) {
    auto keys = json::parse(members.read("jwks_file", path));
    if (!keys) members.complain("jwks_file " + path + " is no JWK set");
    item.set("jwks", std::move(*keys));
  }
  const std::string path = members.take("secret_file", "secret");
  const std::string* id = item.find_string("id");
  if (path.empty() || id == nullptr) return;
  const std::string* method = item.find_string("auth_method");
  if (method != nullptr && (*method == "none" || *method == "private_key_jwt"))
    members.complain("a client with auth_method = \"" + *method + "\" has no secret: leave secret_file out");
  for (const StateFile::SecretFile& other : result.secret_files) {
    if (other.path == path)
      members.complain("secret_file " + path + " is that of client \"" + other.client + "\" too");
  }
  std::error_code unknown;
  std::string secret;
  if (std::filesystem::exists(path, unknown)) secret = trimmed(members.read("secret_file", path));
  const bool is_there = !secret.empty();
  if (is_there) {
    item.set("secret", std::move(secret));
  } else if (const std::string obstacle = why_not_writable(path); !obstacle.empty()) {
    // What the server makes is shown once, and would be lost.
    members.complain("secret_file " + path + " cannot be written: " + obstacle);
  }
  result.secret_files.push_back({*id, path, is_there});
}

}  // namespace

Result<StateFile, std::string> read_state_file(const std::string& path) {
  const auto text = read_text(path);
  if (!text) return Refused{one_line(text.reason())};
  try {
    const toml::table parsed = toml::parse(*text, path);
    const Converter converter(path);
    StateFile result;
    // [[user]] in the file is a list of users: singular where one is written, plural where they are counted.
    constexpr std::pair<std::string_view, std::string_view> kKinds[] = {
        {"user", "users"}, {"agent", "agents"}, {"client", "clients"}, {"resource", "resources"}};
    for (const auto& [key, node] : parsed) {
      std::string_view plural;
      for (const auto& [one, many] : kKinds) {
        if (key.str() == one) plural = many;
      }
      if (plural.empty())
        throw converter.complain(node, "unknown key \"" + std::string(key.str()) +
                                           "\" (known are user, agent, client and resource)");
      const toml::array* list = node.as_array();
      if (list == nullptr) throw converter.complain(node, "write [[" + std::string(key.str()) + "]]");
      json::Value::Array items;
      for (const toml::node& entry : *list) {
        json::Value item = converter.value_of(entry);
        follow_files(converter, entry, item, result);
        items.push_back(std::move(item));
      }
      result.state.set(plural, std::move(items));
    }
    if (result.state.is_null()) result.state = json::Value(json::Value::Object{});
    return result;
  } catch (const toml::parse_error& fault) {
    return Refused<std::string>{one_line(path + ":" + std::to_string(fault.source().begin.line) + ": " +
                                         std::string(fault.description()))};
  } catch (const Complaint& complaint) {
    return Refused{one_line(complaint.text)};
  }
}

Result<ReadState, std::string> read_state(const std::string& path) {
  auto file = read_state_file(path);
  if (!file) return std::move(file).refused();
  auto parsed = console::parse_state(file->state);
  if (!parsed) return Refused{one_line(path + ": " + parsed.reason())};
  if (const std::string complaint = console::find_contradiction(*parsed); !complaint.empty())
    return Refused{one_line(path + ": " + complaint)};
  return ReadState{std::move(*file), std::move(*parsed)};
}

}  // namespace behalf::app
