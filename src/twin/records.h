#pragma once
// What the twin registry keeps, as it hands it out: immutable records. A change makes a new record,
// so a reader may keep the one it has on any thread.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "twin/device_config.h"
#include "twin/value.h"

namespace penstock::twin {

struct OrganisationRecord {
  OrganisationId id;
  std::string name;  ///< slug
  std::string display_name;
  Timestamp created_at;
};

struct SiteRecord {
  SiteId id;
  OrganisationId organisation;
  std::string name;  ///< slug, unique in its organisation, never changes
  std::string display_name;
  std::string time_zone;  ///< IANA: the site's day is a day in this zone
  std::string description;
  Timestamp created_at;
};

/// One telemetry or property of a model, with those of its bases and components.
struct ElementInfo {
  std::string key;  ///< components with dots: "motor.current"
  std::string display_name;
  std::string description;
  bool property = false;  ///< else telemetry
  bool writable = false;  ///< a property that may be written
  ValueKind kind = ValueKind::kDouble;
  std::string unit;           ///< DTDL unit name; empty where there is none
  std::string semantic_type;  ///< DTDL semantic type; empty where there is none
  std::optional<double> minimum, maximum;
  std::vector<std::string> enum_values;  ///< allowed texts; empty: any
};

struct CommandInfo {
  std::string name;  ///< of a component: "motor.reset"
  std::string display_name, description;
  std::string request_schema;  ///< JSON text of its DTDL schema; empty: takes no payload
};

struct RelationshipInfo {
  std::string name;
  std::string target_model;  ///< DTMI of the interface the target must be or extend; empty: any
  std::optional<uint32_t> count_max;
};

struct ComponentInfo {
  std::string name;
  std::string model;  ///< DTMI
};

/// A DTDL interface, flattened: what it declares and what it inherits.
struct ModelInfo {
  std::string id;  ///< DTMI with version
  std::string display_name, description;
  std::vector<std::string> extends;    ///< direct bases
  std::vector<std::string> ancestors;  ///< all bases, sorted
  std::vector<ElementInfo> elements;   ///< in the order of the document, bases first
  std::vector<CommandInfo> commands;
  std::vector<RelationshipInfo> relationships;
  std::vector<ComponentInfo> components;
  std::string document;  ///< DTDL JSON as it was given, this interface only

  /// Whether a twin of this model is one of `dtmi`: itself or a base. A `dtmi` without ";version"
  /// stands for all its versions.
  [[nodiscard]] bool is_a(std::string_view dtmi) const;
  [[nodiscard]] const ElementInfo* element(std::string_view key) const;
};

struct RelationshipRecord {
  std::string name;
  TwinId target;
  friend bool operator==(const RelationshipRecord&, const RelationshipRecord&) = default;
};

struct TwinRecord {
  TwinId id;
  OrganisationId organisation;
  SiteId site;
  std::string site_name;
  std::string name;  ///< slug, unique in its organisation, never changes
  std::string display_name;
  TwinId parent;  ///< what it is part of; none: stands at the top of its site
  std::shared_ptr<const ModelInfo> model;  ///< shared by all twins of it
  std::vector<SeriesId> series;            ///< one for each of model->elements, in that order
  std::vector<RelationshipRecord> relationships;
  std::map<std::string, std::string> labels;  ///< free properties: serial number, vendor, …
  std::string device;                         ///< its device's name on the wire; empty: none
  Timestamp created_at, updated_at;

  /// The series of an element of the present model.
  [[nodiscard]] std::optional<SeriesId> series_of(std::string_view element) const;
};

/// What a series is. A series keeps one twin, element, kind and unit for ever.
struct SeriesInfo {
  SeriesId id;
  OrganisationId organisation;
  SiteId site;
  TwinId twin;
  std::string twin_name;
  std::string element;
  ValueKind kind = ValueKind::kDouble;
  std::string unit;
  std::string time_zone;  ///< of its site
  bool retired = false;   ///< twin or element is gone: history stays, no sample comes
};

enum class CredentialKind : uint8_t { kNone = 0, kToken = 1, kPassword = 2 };

/// One wire member that is named or scaled other than the model's element.
struct BindingEntry {
  std::string element;           ///< key in the model
  std::string wire_key;          ///< JSON member; empty: as the element
  double scale = 1, offset = 0;  ///< stored = wire * scale + offset
  friend bool operator==(const BindingEntry&, const BindingEntry&) = default;
};

struct BindingDocument;

/// One version of a binding document. A version never changes.
struct BindingVersion {
  uint32_t version = 0;
  std::string document;  ///< JSON text as it was given
  std::string note;      ///< why, in the words of who saved it
  std::string saved_by;
  Timestamp saved_at;
  Timestamp activated_at;  ///< last time it became the active one; 0: never
  std::string activated_by;
};

/// A binding document with its versions: drafts come after the active one, or were active before.
struct BindingRecord {
  OrganisationId organisation;
  std::string name;                               ///< slug
  uint32_t active_version = 0;                    ///< 0: none yet, devices cannot use it
  std::vector<BindingVersion> versions;           ///< by number, from 1
  std::shared_ptr<const BindingDocument> active;  ///< null: none yet
  [[nodiscard]] const BindingVersion& latest() const { return versions.back(); }
  [[nodiscard]] const BindingVersion* version(uint32_t number) const {
    return number == 0 || number > versions.size() ? nullptr : &versions[number - 1];
  }
};

/// A device (it feeds a twin) or an application client (it has grants only).
struct DeviceRecord {
  OrganisationId organisation;
  std::string name;  ///< on the wire; unique in the server
  TwinId twin;       ///< none for an application client
  bool enabled = true;
  CredentialKind credential = CredentialKind::kNone;  ///< none: only by certificate
  Timestamp credential_at;                            ///< when it was made or rotated
  int64_t stale_after_ms = 0;                         ///< 0: the configured default
  std::string protocol = "mqtt";  ///< how it speaks: mqtt, sparkplug, lwm2m, opcua, http
  std::string binding;            ///< name of its binding document; empty: none
  std::vector<BindingEntry> bindings;
  std::vector<std::string> publish_filters;  ///< grants beyond its own namespace
  std::vector<std::string> subscribe_filters;
  Timestamp created_at;
  std::shared_ptr<const DeviceConfig> config;  ///< shared with its shard; null for applications
};

/// Other hardware for the same twin: what was put in the place of what, when and why.
struct ReplacementRecord {
  std::string old_device,
      new_device;  ///< names on the wire; the same where only the hardware changed
  std::string old_serial, new_serial;  ///< the twin's label "serial"; may be empty
  std::string reason;
  std::string who;
  Timestamp at;
};

struct JoinTokenRecord {
  uint32_t id = 0;
  OrganisationId organisation;
  SiteId site;
  std::string name;
  Timestamp created_at;
  Timestamp expires_at;  ///< 0: never
};

using OrganisationPtr = std::shared_ptr<const OrganisationRecord>;
using SitePtr = std::shared_ptr<const SiteRecord>;
using ModelPtr = std::shared_ptr<const ModelInfo>;
using TwinPtr = std::shared_ptr<const TwinRecord>;
using SeriesPtr = std::shared_ptr<const SeriesInfo>;
using BindingPtr = std::shared_ptr<const BindingRecord>;
using DevicePtr = std::shared_ptr<const DeviceRecord>;
using JoinTokenPtr = std::shared_ptr<const JoinTokenRecord>;

}  // namespace penstock::twin
