# Weighted curves and tests of R's `survival`, on the data of reference.R's making.
# Usage: Rscript weighted_curves.R FOLDER
options(digits = 17, warn = 1)
suppressPackageStartupMessages(library(survival))
folder <- commandArgs(trailingOnly = TRUE)[1]

lung <- survival::lung
lung <- lung[!is.na(lung$inst) & !is.na(lung$ph.ecog), ]
lung <- data.frame(
  site = paste0("inst", lung$inst), time = lung$time,
  died = ifelse(lung$status == 2, "yes", "no"),
  sex = ifelse(lung$sex == 1, "male", "female"),
  ecog = paste0("e", pmin(lung$ph.ecog, 2)), share = 0.5 + (lung$age %% 7) / 4
)
save <- function(frame, name) {
  for (column in names(frame)) {
    if (is.numeric(frame[[column]])) frame[[column]] <- sprintf("%.17g", frame[[column]])
  }
  write.csv(frame, file.path(folder, paste0(name, ".csv")), row.names = FALSE, na = "NA")
}
save(lung, "lung")
lung$month <- 28 * ceiling(lung$time / 28)

curves <- list()
for (at in c("time", "month")) for (by in c("sex", "ecog")) {
  for (type in c("log", "log-log", "plain")) {
    lung$at <- lung[[at]]
    lung$by <- lung[[by]]
    fit <- survfit(Surv(at, died == "yes") ~ by, lung, weights = share, conf.type = type,
                   robust = TRUE)
    table <- summary(fit, censored = FALSE)
    strata <- sub(".*=", "", as.character(table$strata))
    curves[[length(curves) + 1]] <- data.frame(
      at = at, by = by, type = type, stratum = strata, time = table$time,
      survival = table$surv, se = table$std.err, lower = table$lower, upper = table$upper,
      cumhaz = table$cumhaz, cumhaz_se = table$std.chaz
    )
  }
}
save(do.call(rbind, curves), "curves")

# Means up to a horizon from the infinitesimal jackknife of the curve itself.
means <- list()
for (level in c("female", "male")) {
  mine <- lung[lung$sex == level, ]
  fit <- survfit(Surv(month, died == "yes") ~ 1, mine, weights = share, influence = 1,
                 robust = TRUE)
  steps <- c(0, fit$time[fit$time < 350], 350)
  kept <- which(fit$time < 350)
  mean <- sum(diff(steps) * c(1, fit$surv[kept]))
  each <- fit$influence.surv[, kept, drop = FALSE] %*% diff(steps)[-1]
  means[[length(means) + 1]] <- data.frame(
    stratum = level, rmst = mean, rmst_se = sqrt(sum(each^2))
  )
}
save(do.call(rbind, means), "means")

tests <- list()
test <- function(name, formula) {
  fit <- coxph(formula, lung, weights = share, robust = TRUE, ties = "breslow")
  tests[[length(tests) + 1]] <<- data.frame(
    test = name, chi2 = fit$rscore, df = sum(!is.na(coef(fit)))
  )
}
test("sex_site", Surv(time, died == "yes") ~ sex + strata(site))
test("ecog_two", Surv(time, died == "yes") ~ ecog + strata(site, sex))
test("sex_month", Surv(month, died == "yes") ~ sex)
test("ecog_month", Surv(month, died == "yes") ~ ecog)
save(do.call(rbind, tests), "tests")
