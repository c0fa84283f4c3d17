#include "api/access/permissions.h"

#include <algorithm>
#include <array>

namespace penstock::api::access {
namespace {

struct RoleRow {
  Role role;
  std::string_view name;
  uint32_t allowed;  ///< bit mask of permissions
};

constexpr uint32_t bit(Permission permission) { return 1U << static_cast<unsigned>(permission); }
template <class... P>
constexpr uint32_t bits(P... permissions) {
  return (bit(permissions) | ...);
}

constexpr uint32_t kEverybody = bits(Permission::kSelf, Permission::kOwnTokens);
constexpr uint32_t kLook = kEverybody | bits(Permission::kReadTwins, Permission::kReadAlarms);
constexpr uint32_t kAct =
    kLook | bits(Permission::kAcknowledgeAlarms, Permission::kReadDevices, Permission::kReadRules);
constexpr uint32_t kBuild =
    kAct | bits(Permission::kWriteSites, Permission::kWriteTwins, Permission::kWriteDevices,
                Permission::kWriteModels, Permission::kSendCommands, Permission::kWriteRules,
                Permission::kExportHistory, Permission::kReadMetrics);

/// The table that says it all. An operator commands machines, a technician works on them and does
/// not.
constexpr std::array<RoleRow, kRoles> kRoleTable{{
    {Role::kTechnician, "technician", kAct},
    {Role::kOperator, "operator", kAct | bits(Permission::kSendCommands)},
    {Role::kEngineer, "engineer", kBuild},
    {Role::kDataScientist, "data_scientist",
     kLook | bits(Permission::kReadDevices, Permission::kReadRules, Permission::kWriteRules,
                  Permission::kExportHistory, Permission::kReadMetrics)},
    {Role::kExecutive, "executive", kLook},
    {Role::kPartner, "partner", kEverybody | bits(Permission::kReadTwins)},
    {Role::kAuditor, "auditor",
     kLook | bits(Permission::kReadDevices, Permission::kReadRules, Permission::kReadUsers,
                  Permission::kReadMetrics)},
    {Role::kAdministrator, "administrator",
     kBuild | bits(Permission::kReadUsers, Permission::kWriteUsers)},
}};

constexpr std::array<std::string_view, kPermissions> kPermissionNames{
    "self",        "token.own",    "twin.read",         "site.write",     "twin.write",
    "device.read", "device.write", "model.write",       "command.send",   "rule.read",
    "rule.write",  "alarm.read",   "alarm.acknowledge", "history.export", "user.read",
    "user.write",  "metrics.read"};

}  // namespace

std::string_view name(Role role) { return kRoleTable[static_cast<size_t>(role)].name; }

std::optional<Role> parse_role(std::string_view text) {
  for (const auto& row : kRoleTable)
    if (row.name == text) return row.role;
  return std::nullopt;
}

std::string_view name(Permission permission) {
  return kPermissionNames[static_cast<size_t>(permission)];
}

bool Principal::sees(SiteId site) const {
  return sites.empty() || std::find(sites.begin(), sites.end(), site) != sites.end();
}

bool allows(Role role, Permission permission) {
  return (kRoleTable[static_cast<size_t>(role)].allowed & bit(permission)) != 0;
}

Status authorize(const Principal& principal, Permission permission, std::optional<SiteId> site) {
  // A one-time link opens one door: setting the password.
  if (principal.password_required && permission != Permission::kSelf)
    return fail(ErrorCode::kPermissionDenied, "set your name and password first",
                std::string(name(permission)));
  if (!allows(principal.role, permission))
    return fail(ErrorCode::kPermissionDenied,
                "the role " + std::string(name(principal.role)) +
                    " does not allow this; ask an administrator",
                std::string(name(permission)));
  // What one may not see does not exist: no word about other sites leaks.
  if (site && !principal.sees(*site))
    return fail(ErrorCode::kNotFound, "there is no such thing here");
  return {};
}

}  // namespace penstock::api::access
