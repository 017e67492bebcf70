# Start-stop rows of R's own `survival` package, and R's fits on them.
# Usage: Rscript long_rows.R FOLDER
options(digits = 17, warn = 1)
suppressPackageStartupMessages(library(survival))
folder <- commandArgs(trailingOnly = TRUE)[1]

save <- function(frame, name) {
  for (column in names(frame)) {
    if (is.numeric(frame[[column]])) {
      frame[[column]] <- sprintf("%.17g", frame[[column]])
    }
  }
  write.csv(frame, file.path(folder, paste0(name, ".csv")), row.names = FALSE, na = "NA")
}

# Recurrent infections in 13 centres.
cgd <- survival::cgd
cgd <- data.frame(
  site = gsub("[^A-Za-z0-9]", "", as.character(cgd$center)),
  id = paste0("p", cgd$id), start = cgd$tstart, stop = cgd$tstop,
  ill = ifelse(cgd$status == 1, "yes", "no"),
  treat = ifelse(cgd$treat == "placebo", "placebo", "rIFNg"),
  age = cgd$age, weight = cgd$weight,
  inherit = substr(as.character(cgd$inherit), 1, 1),
  steroids = ifelse(cgd$steroids == 1, "yes", "no"),
  number = paste0("e", pmin(cgd$enum, 3)), share = 0.5 + (cgd$age %% 5) / 4
)
save(cgd, "cgd")
cgd$treat <- factor(cgd$treat, c("placebo", "rIFNg"))
cgd$steroids <- factor(cgd$steroids, c("no", "yes"))
cgd$inherit <- factor(cgd$inherit, c("X", "a"))

# Stanford's heart transplants: the transplant depends on time. R ships one centre; the
# year of enrolment stands for it.
heart <- survival::heart
heart <- data.frame(
  site = paste0("y", pmax(0, pmin(floor(heart$year), 4))), id = as.numeric(as.character(heart$id)),
  start = heart$start, stop = heart$stop,
  died = ifelse(heart$event == 1, "yes", "no"),
  transplant = ifelse(heart$transplant == "1", "yes", "no"),
  age = heart$age, surgery = ifelse(heart$surgery == 1, "yes", "no"),
  share = 0.5 + (heart$id %% 5) / 4
)
save(heart, "heart")
heart$transplant <- factor(heart$transplant, c("no", "yes"))
heart$surgery <- factor(heart$surgery, c("no", "yes"))

fits <- list()
keep <- function(name, fit) {
  table <- summary(fit)$coefficients
  error <- intersect(c("robust se", "se(coef)"), colnames(table))[1]
  fits[[length(fits) + 1]] <<- data.frame(
    fit = name, term = rownames(table), estimate = as.numeric(coef(fit)),
    se = as.numeric(table[, error]), p = as.numeric(table[, ncol(table)]),
    loglik = as.numeric(fit$loglik[2]), n = fit$n, events = fit$nevent
  )
}
drifts <- list()
drift <- function(name, fit) {
  found <- cox.zph(fit, transform = "identity", terms = FALSE)$table
  drifts[[length(drifts) + 1]] <<- data.frame(fit = name, chi2 = found[, "chisq"], p = found[, "p"])
}
tight <- coxph.control(eps = 1e-14, toler.chol = 1e-15, iter.max = 100)
cox <- function(formula, data, ties, robust, weights = rep(1, nrow(data))) {
  environment(formula) <- environment()
  who <- data$id
  suppressWarnings(coxph(formula, data, ties = ties, weights = weights, robust = robust,
                         cluster = who, control = tight))
}
plain <- function(formula, data, ties) {
  environment(formula) <- environment()
  suppressWarnings(coxph(formula, data, ties = ties, model = TRUE, control = tight))
}
for (ties in c("efron", "breslow")) {
  infection <- Surv(start, stop, ill == "yes") ~ treat + log(weight) + age + steroids + strata(site)
  keep(paste0("cgd_", ties), cox(infection, cgd, ties, TRUE))
  keep(paste0("cgd_weighted_", ties), cox(infection, cgd, ties, TRUE, cgd$share))
  keep(paste0("cgd_number_", ties),
       cox(Surv(start, stop, ill == "yes") ~ treat + age + strata(site) + strata(number), cgd, ties, TRUE))
  death <- Surv(start, stop, died == "yes") ~ transplant * age + surgery + strata(site)
  keep(paste0("heart_", ties), plain(death, heart, ties))
  keep(paste0("heart_robust_", ties), cox(death, heart, ties, TRUE))
  keep(paste0("heart_weighted_", ties), cox(death, heart, ties, TRUE, heart$share))
  drift(paste0("heart_", ties), plain(death, heart, ties))
}
save(do.call(rbind, fits), "fits")
save(do.call(rbind, drifts), "drifts")

# Curves of those who enter late: the age at entry and at death, in whole years.
years <- survival::flchain[1:900, ]
years <- data.frame(
  start = years$age, stop = years$age + 1 + floor(years$futime / 365.25),
  died = ifelse(years$death == 1, "yes", "no"), sex = ifelse(years$sex == "F", "female", "male"),
  site = paste0("s", seq_len(nrow(years)) %% 4)
)
save(years, "years")
found <- survfit(Surv(start, stop, died == "yes") ~ sex, years, conf.type = "log")
save(with(summary(found, censored = FALSE), data.frame(
  sex = as.character(strata), time = time, at_risk = n.risk, events = n.event,
  survival = surv, se = std.err, lower = lower, upper = upper, cumhaz = cumhaz
)), "curves")
save(data.frame(sex = rownames(quantile(found, 0.5)$quantile), median = quantile(found, 0.5)$quantile[, 1]), "medians")
