#include "oauth/draft00.h"

namespace behalf::oauth {
namespace {

bool is_sent(const http::Form& form, std::string_view name) { return !form.all(name).empty(); }

bool has_current_proof(const http::Form& form) {
  return is_sent(form, "actor_token") || is_sent(form, "actor_token_type");
}

std::string_view current_name(std::string_view name) {
  if (name == "requested_agent") return "requested_actor";
  if (name == "agent_token") return "actor_token";
  return name;
}

}  // namespace

CurrentNames authorization_in_current_names(const Settings& settings, const http::Form& form) {
  CurrentNames names;
  names.is_draft00 =
      settings.legacy_draft00 && (is_sent(form, "requested_agent") || is_sent(form, "agent_token"));
  names.mixed = names.is_draft00 && (is_sent(form, "requested_actor") || has_current_proof(form));
  if (!names.is_draft00 || names.mixed) {
    names.form = form;
    return names;
  }
  for (const http::FormField& field : form.fields()) names.form.add(current_name(field.name), field.value);
  return names;
}

CurrentNames token_request_in_current_names(const Settings& settings, http::Form form) {
  CurrentNames names;
  const std::string_view type = form.get("grant_type");
  const bool is_old_grant = type == kDraft00GrantType;
  const bool takes_proof = is_old_grant || type == "authorization_code" || type == "refresh_token";
  const bool has_old_proof = is_sent(form, "agent_token");
  if (!settings.legacy_draft00 || !takes_proof || (!is_old_grant && !has_old_proof)) {
    names.form = std::move(form);
    return names;
  }
  names.is_draft00 = true;
  names.mixed = has_current_proof(form) || (has_old_proof && type == "authorization_code");
  for (const http::FormField& field : form.fields()) {
    if (is_old_grant && field.name == "grant_type")
      names.form.add("grant_type", "authorization_code");
    else
      names.form.add(names.mixed ? std::string_view(field.name) : current_name(field.name), field.value);
  }
  return names;
}

}  // namespace behalf::oauth
