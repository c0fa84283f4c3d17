#pragma once
// Who may do what: roles, permissions, and the one function that decides.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/time.h"

namespace penstock::api::access {

/// design.md section 6. Stored by name.
enum class Role : uint8_t {
  kTechnician,
  kOperator,
  kEngineer,
  kDataScientist,
  kExecutive,
  kPartner,
  kAuditor,
  kAdministrator,
};
inline constexpr size_t kRoles = 8;

enum class Permission : uint8_t {
  kSelf,  ///< one's own session and password: everybody who is signed in
  kOwnTokens,
  kReadTwins,  ///< sites, twins, devices, models, live values, history of a twin
  kWriteSites,
  kWriteTwins,
  kReadDevices,  ///< dead letters and discovery
  kWriteDevices,
  kWriteModels,
  kSendCommands,
  kReadRules,
  kWriteRules,
  kReadAlarms,
  kAcknowledgeAlarms,
  kExportHistory,
  kReadUsers,
  kWriteUsers,
  kReadMetrics,
};
inline constexpr size_t kPermissions = 17;

std::string_view name(Role role);
std::optional<Role> parse_role(std::string_view text);
std::string_view name(Permission permission);

/// Whoever is behind a request. A value; made anew for each request.
struct Principal {
  enum class Kind : uint8_t { kSession, kToken, kLocalAdministrator };
  Kind kind = Kind::kSession;
  OrganisationId organisation;
  UserId user;  ///< 0 for the local administrator token
  std::string name;
  std::string email;
  Role role = Role::kTechnician;
  std::vector<SiteId> sites;  ///< the only ones this person sees; empty: all of the organisation
  uint64_t credential = 0;    ///< row of the session or token
  std::string csrf;           ///< sessions only: what X-CSRF-Token must be
  Timestamp expires;          ///< 0: never
  bool password_required = false;  ///< came by a one-time link and has no password yet

  [[nodiscard]] bool sees(SiteId site) const;
};

/// What a role allows, whatever the site.
bool allows(Role role, Permission permission);

/// THE check: may `principal` do `permission`, and, where `site` is given, there? All decisions
/// pass here.
Status authorize(const Principal& principal, Permission permission,
                 std::optional<SiteId> site = std::nullopt);

}  // namespace penstock::api::access
