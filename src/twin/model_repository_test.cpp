#include "twin/model_repository.h"

#include <map>

#include <gtest/gtest.h>

namespace penstock::twin {
namespace {

struct Folder {
  std::map<std::string, std::string> files;
  std::vector<std::string> asked;
  FetchFile fetch() {
    return [this](const std::string& path, size_t, int64_t) -> Result<std::optional<std::string>> {
      asked.push_back(path);
      const auto found = files.find(path);
      if (found == files.end()) return std::nullopt;
      return found->second;
    };
  }
};

std::string interface(const std::string& id, const std::string& more = "") {
  return R"({"@context":"dtmi:dtdl:context;3","@id":")" + id + R"(","@type":"Interface")" + more +
         "}";
}

Folder thermostats() {
  Folder folder;
  folder.files["dtmi/com/example/thermostat-1.json"] = interface(
      "dtmi:com:example:Thermostat;1", R"(,"extends":"dtmi:com:example:Base;2","contents":[
        {"@type":"Component","name":"info","schema":"dtmi:azure:DeviceInformation;1"},
        {"@type":"Relationship","name":"near","target":"dtmi:com:example:Elsewhere;1"}])");
  folder.files["dtmi/com/example/base-2.json"] = interface("dtmi:com:example:Base;2");
  folder.files["dtmi/azure/deviceinformation-1.json"] = interface("dtmi:azure:DeviceInformation;1");
  return folder;
}

TEST(ModelRepository, PathsFollowTheConvention) {
  EXPECT_EQ(*repository_path("dtmi:com:example:Thermostat;1"),
            "dtmi/com/example/thermostat-1.json");
  EXPECT_EQ(*repository_path("dtmi:com:Example:a_B;12", true),
            "dtmi/com/example/a_b-12.expanded.json");
  for (const char* id : {"", "dtmi:com:example", "dtmi:com:..:x;1", "dtmi:a/../b;1", "http://x;1",
                         "dtmi:com:example:Thermostat;0", "dtmi:a:b;1/../../x"})
    EXPECT_FALSE(repository_path(id)) << id;
}

TEST(ModelRepository, WhatAModelNeedsComesWithIt) {
  Folder folder = thermostats();
  const std::vector<std::string> ids{"dtmi:com:example:Thermostat;1"};
  const auto found = fetch_models(ids, folder.fetch(), system_clock());
  ASSERT_TRUE(found) << found.error().text();
  EXPECT_EQ(found->documents.size(), 3u) << "what it only points at stays where it is";
  EXPECT_EQ(found->files.size(), 3u);
}

TEST(ModelRepository, ExpandedFilesAreUsedWhereTheRepositoryHasThem) {
  Folder folder = thermostats();
  folder.files["metadata.json"] = R"({"features":{"expanded":true}})";
  folder.files["dtmi/com/example/thermostat-1.expanded.json"] =
      "[" + folder.files["dtmi/com/example/thermostat-1.json"] + "," +
      folder.files["dtmi/com/example/base-2.json"] + "," +
      folder.files["dtmi/azure/deviceinformation-1.json"] + "]";
  const std::vector<std::string> ids{"dtmi:com:example:Thermostat;1"};
  const auto found = fetch_models(ids, folder.fetch(), system_clock());
  ASSERT_TRUE(found);
  EXPECT_EQ(found->documents.size(), 3u);
  EXPECT_EQ(folder.asked.size(), 2u);
  folder.files.erase("dtmi/com/example/thermostat-1.expanded.json");
  EXPECT_EQ(fetch_models(ids, folder.fetch(), system_clock())->documents.size(), 3u);
}

TEST(ModelRepository, WhatIsMissingOrWrongIsNamed) {
  Folder folder = thermostats();
  const std::vector<std::string> ids{"dtmi:com:example:Thermostat;1"};
  folder.files.erase("dtmi/com/example/base-2.json");
  const auto missing = fetch_models(ids, folder.fetch(), system_clock());
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(missing.error().about, "dtmi/com/example/base-2.json");
  folder.files["dtmi/com/example/base-2.json"] = interface("dtmi:com:example:base;2");
  EXPECT_EQ(fetch_models(ids, folder.fetch(), system_clock()).error().code, ErrorCode::kCorrupt);
  folder.files["dtmi/com/example/base-2.json"] = "<html>";
  EXPECT_FALSE(fetch_models(ids, folder.fetch(), system_clock()));
}

TEST(ModelRepository, AnEndlessRepositoryEnds) {
  Folder folder;
  size_t served = 0;
  const FetchFile endless = [&](const std::string& path, size_t,
                                int64_t) -> Result<std::optional<std::string>> {
    if (path == "metadata.json") return std::nullopt;
    const size_t n = served++;
    return interface("dtmi:x:M" + std::string(n == 0 ? "" : std::to_string(n)) + ";1",
                     R"(,"extends":["dtmi:x:m)" + std::to_string(n + 1) + R"(;1"])");
  };
  RepositoryLimits limits;
  limits.files_max = 5;
  const std::vector<std::string> ids{"dtmi:x:M;1"};
  EXPECT_FALSE(fetch_models(ids, endless, system_clock(), limits));
  EXPECT_LE(served, 6u);
  limits = {};
  limits.bytes_max = 10;
  Folder big = thermostats();
  const std::vector<std::string> real{"dtmi:com:example:Thermostat;1"};
  EXPECT_EQ(fetch_models(real, big.fetch(), system_clock(), limits).error().code,
            ErrorCode::kResourceExhausted);
  limits = {};
  limits.time_ms_max = 0;
  EXPECT_EQ(fetch_models(real, big.fetch(), system_clock(), limits).error().code,
            ErrorCode::kTimeout);
}

}  // namespace
}  // namespace penstock::twin
