# Real multi-centre data from R's own `survival` package, and R's fits on them.
# Usage: Rscript reference.R FOLDER
options(digits = 17, warn = 1)
suppressPackageStartupMessages(library(survival))
library(splines)
folder <- commandArgs(trailingOnly = TRUE)[1]

save <- function(frame, name) {
  for (column in names(frame)) {
    if (is.numeric(frame[[column]])) {
      frame[[column]] <- sprintf("%.17g", frame[[column]])
    }
  }
  write.csv(frame, file.path(folder, paste0(name, ".csv")), row.names = FALSE, na = "NA")
}

lung <- survival::lung
lung$sex <- ifelse(lung$sex == 1, "male", "female")
lung$died <- ifelse(lung$status == 2, "yes", "no")
lung$ecog <- ifelse(is.na(lung$ph.ecog), NA, pmin(lung$ph.ecog, 2))
lung <- lung[!is.na(lung$inst), ]
lung <- data.frame(
  site = paste0("inst", lung$inst), time = lung$time, died = lung$died,
  age = lung$age, sex = lung$sex, ecog = paste0("e", lung$ecog),
  karno = lung$ph.karno, loss = lung$wt.loss, meal = lung$meal.cal,
  share = 0.5 + (lung$age %% 7) / 4
)
lung$ecog[lung$ecog == "eNA"] <- NA
save(lung, "lung")
lung$sex <- factor(lung$sex, c("female", "male"))
lung$ecog <- factor(lung$ecog, c("e0", "e1", "e2"))

first <- survival::cgd[survival::cgd$enum == 1, ]
infections <- tapply(survival::cgd$status, survival::cgd$id, sum)
follow_up <- tapply(survival::cgd$tstop, survival::cgd$id, max)
cgd <- data.frame(
  site = gsub("[^A-Za-z0-9]", "", as.character(first$center)),
  time = first$tstop, ill = ifelse(first$status == 1, "yes", "no"),
  treat = ifelse(first$treat == "placebo", "placebo", "rIFNg"),
  sex = as.character(first$sex), age = first$age, height = first$height,
  weight = first$weight, inherit = substr(as.character(first$inherit), 1, 1),
  steroids = ifelse(first$steroids == 1, "yes", "no"),
  infections = as.numeric(infections[as.character(first$id)]),
  days = as.numeric(follow_up[as.character(first$id)]),
  share = 0.5 + (first$age %% 5) / 4
)
save(cgd, "cgd")
cgd$treat <- factor(cgd$treat, c("placebo", "rIFNg"))
cgd$inherit <- factor(cgd$inherit, c("X", "a"))
cgd$sex <- factor(cgd$sex, c("male", "female"))

fits <- list()
keep <- function(name, fit) {
  table <- summary(fit)$coefficients
  error <- intersect(c("robust se", "se(coef)"), colnames(table))[1]
  se <- if (inherits(fit, "coxph")) table[, error] else table[, "Std. Error"]
  events <- if (inherits(fit, "coxph")) fit$nevent else NA
  fits[[length(fits) + 1]] <<- data.frame(
    fit = name, term = rownames(table), estimate = as.numeric(coef(fit)),
    se = as.numeric(se), p = as.numeric(table[, ncol(table)]),
    loglik = as.numeric(if (inherits(fit, "coxph")) fit$loglik[2] else logLik(fit)),
    n = nobs(fit), events = events
  )
  if (inherits(fit, "coxph")) fits[[length(fits)]]$n <<- fit$n
}
tight <- glm.control(epsilon = 1e-15, maxit = 100)
cox <- function(formula, data, ties, weights = rep(1, nrow(data)), robust = FALSE) {
  environment(formula) <- environment()
  suppressWarnings(coxph(formula, data, ties = ties, model = TRUE,
                         weights = weights, robust = robust,
                         control = coxph.control(eps = 1e-14, iter.max = 100)))
}

drifts <- list()
drift <- function(name, fit) {
  for (transform in c("identity", "log")) {
    found <- cox.zph(fit, transform = transform, terms = FALSE)$table
    drifts[[length(drifts) + 1]] <<- data.frame(
      fit = name, transform = transform, chi2 = found[, "chisq"], p = found[, "p"]
    )
  }
}

for (ties in c("efron", "breslow")) {
  keep(paste0("lung_strata_", ties),
       cox(Surv(time, died == "yes") ~ age + sex + ecog + strata(site), lung, ties))
  keep(paste0("lung_pooled_", ties),
       cox(Surv(time, died == "yes") ~ age + sex + ecog, lung, ties))
  keep(paste0("lung_months_", ties),
       cox(Surv(28 * ceiling(time / 28), died == "yes") ~ age + ecog + strata(sex),
           lung, ties))
  keep(paste0("cgd_strata_", ties),
       cox(Surv(time, ill == "yes") ~ treat + log(weight) + age + strata(site), cgd, ties))
  keep(paste0("cgd_two_", ties),
       cox(Surv(time, ill == "yes") ~ treat * age + strata(site) + strata(inherit), cgd, ties))
}
keep("lung_ns", glm(died == "yes" ~ ns(age, knots = c(55, 65), Boundary.knots = c(18, 100)) * sex,
                    binomial, lung, control = tight))
keep("lung_ns_df", lm(meal ~ ns(age, knots = c(18 + 82 / 3, 18 + 164 / 3), Boundary.knots = c(18, 100)), lung))
keep("lung_bs", lm(meal ~ bs(age, knots = 60, Boundary.knots = c(18, 100)) +
                     ns(karno, knots = c(70, 80), Boundary.knots = c(55, 95)) +
                     bs(loss, knots = c(0, 10), degree = 2, Boundary.knots = c(-50, 100)), lung))
keep("lung_logistic", glm(died == "yes" ~ age + sex + ecog + karno, binomial, lung, control = tight))
keep("lung_cross", glm(died == "yes" ~ age * sex + ecog:sex, binomial, lung, control = tight))
keep("cgd_logistic", glm(ill == "yes" ~ treat + log(weight) + inherit, binomial, cgd, control = tight))
keep("lung_linear", lm(meal ~ age + sex + ecog + I((age / 10)^2), lung))
keep("lung_origin", lm(meal ~ 0 + sex + age, lung))
keep("cgd_linear", lm(weight ~ log(height) + sex + age, cgd))
keep("cgd_poisson", glm(infections ~ treat + age + inherit + offset(log(days)), poisson, cgd, control = tight))

for (ties in c("efron", "breslow")) {
  drift(paste0("lung_strata_", ties),
        cox(Surv(time, died == "yes") ~ age + sex + ecog + strata(site), lung, ties))
  drift(paste0("cgd_strata_", ties),
        cox(Surv(time, ill == "yes") ~ treat + log(weight) + age + strata(site), cgd, ties))
  drift(paste0("cgd_two_", ties),
        cox(Surv(time, ill == "yes") ~ treat * age + strata(site) + strata(inherit), cgd, ties))
}
for (ties in c("efron", "breslow")) {
  for (robust in c(FALSE, TRUE)) for (weighted in c(FALSE, TRUE)) {
    name <- paste0(ties, if (robust) "_robust", if (weighted) "_weighted")
    with_weights <- function(data) if (weighted) data$share else rep(1, nrow(data))
    fit <- cox(Surv(time, died == "yes") ~ age + sex + ecog + strata(site), lung, ties,
               with_weights(lung), robust)
    if (robust || weighted) keep(paste0("lung_more_", name), fit)
    if (weighted && !robust) drift(paste0("lung_more_", name), fit)
    fit <- cox(Surv(time, ill == "yes") ~ treat + log(weight) + age + strata(site), cgd, ties,
               with_weights(cgd), robust)
    if (robust || weighted) keep(paste0("cgd_more_", name), fit)
  }
}
save(do.call(rbind, fits), "fits")
save(do.call(rbind, drifts), "drifts")

hazards <- list()
hazard <- function(name, fit) {
  table <- basehaz(fit, centered = FALSE)
  found <- survfit(fit)
  hazards[[length(hazards) + 1]] <<- data.frame(
    fit = name, time = table$time, cumhaz = table$hazard, died = found$n.event,
    stratum = if (is.null(table$strata)) "All" else sub(".*=", "", table$strata)
  )
}
for (ties in c("efron", "breslow")) {
  hazard(paste0("lung_pooled_", ties),
         cox(Surv(time, died == "yes") ~ age + sex + ecog, lung, ties))
  lung$month <- 28 * ceiling(lung$time / 28)
  hazard(paste0("lung_months_", ties),
         cox(Surv(month, died == "yes") ~ age + ecog + strata(sex), lung, ties))
}
save(do.call(rbind, hazards), "hazards")

curves <- list()
curve <- function(name, formula, data, horizon) {
  for (type in c("log", "log-log", "plain")) {
    fit <- survfit(formula, data, conf.type = type)
    table <- summary(fit, censored = FALSE)
    strata <- if (is.null(table$strata)) "All" else sub(".*=", "", as.character(table$strata))
    whole <- rbind(summary(fit, rmean = horizon)$table)
    rownames(whole) <- if (nrow(whole) > 1) sub(".*=", "", rownames(whole)) else "All"
    of <- function(column) as.numeric(whole[strata, column])
    curves[[length(curves) + 1]] <<- data.frame(
      fit = name, type = type, horizon = horizon,
      stratum = strata, time = table$time, survival = table$surv,
      se = table$std.err, lower = table$lower, upper = table$upper,
      cumhaz = table$cumhaz, cumhaz_se = table$std.chaz,
      at_risk = table$n.risk, events = table$n.event,
      median = of("median"), median_lower = of("0.95LCL"), median_upper = of("0.95UCL"),
      rmst = of("rmean"), rmst_se = of("se(rmean)")
    )
  }
}
curve("lung_sex", Surv(time, died == "yes") ~ sex, lung, 365)
curve("lung_all", Surv(time, died == "yes") ~ 1, lung, 800)
curve("cgd_treat", Surv(time, ill == "yes") ~ treat, cgd, 300)
save(do.call(rbind, curves), "curves")

tests <- list()
test <- function(name, formula, data, rho = 0) {
  found <- survdiff(formula, data, rho = rho)
  sums <- function(x) if (is.matrix(x)) rowSums(x) else x
  tests[[length(tests) + 1]] <<- data.frame(
    fit = name, rho = rho, chi2 = found$chisq, p = found$pvalue,
    observed = sums(found$obs), expected = sums(found$exp)
  )
}
test("lung_sex", Surv(time, died == "yes") ~ sex, lung)
test("lung_ecog", Surv(time, died == "yes") ~ ecog, lung)
test("cgd_treat", Surv(time, ill == "yes") ~ treat, cgd)
for (rho in c(0, 0.5, 1)) {
  test("lung_sex_site", Surv(time, died == "yes") ~ sex + strata(site), lung, rho)
  test("lung_ecog_two", Surv(time, died == "yes") ~ ecog + strata(site, sex), lung, rho)
  test("cgd_treat_site", Surv(time, ill == "yes") ~ treat + strata(site), cgd, rho)
}
save(do.call(rbind, tests), "tests")
